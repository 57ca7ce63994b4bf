/* The page of mirnet profile --format html, byte for byte:
     extern "C" const char mirnet_profile_page[], mirnet_profile_page_end[];            */
        .section .rodata.mirnet_profile_page, "a", %progbits
        .globl  mirnet_profile_page
        .type   mirnet_profile_page, %object
mirnet_profile_page:
        .incbin MIRNET_PROFILE_PAGE
        .globl  mirnet_profile_page_end
        .type   mirnet_profile_page_end, %object
mirnet_profile_page_end:
        .size   mirnet_profile_page, mirnet_profile_page_end - mirnet_profile_page

        .section .note.GNU-stack, "", %progbits
