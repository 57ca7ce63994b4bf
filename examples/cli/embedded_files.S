/* Files that the program carries, byte for byte. Each is
     extern "C" const char NAME[];      its first byte, which starts a 64-byte line
     extern "C" const char NAME_end[];  one past its last byte
   for the names at the end.                                                            */
        .macro  embed name, file
#if defined(_WIN32)
        .section .rdata, "dr"
#else
        .section .rodata.\name, "a", %progbits
        .type   \name, %object
        .type   \name\()_end, %object
#endif
        .balign 64
        .globl  \name
\name:
        .incbin "\file"
        .globl  \name\()_end
\name\()_end:
#if !defined(_WIN32)
        .size   \name, . - \name
#endif
        .endm

        embed   mirnet_builtin_weights, MIRNET_BUILTIN_WEIGHTS
        embed   mirnet_comparison_page, MIRNET_COMPARISON_PAGE
        embed   mirnet_profile_page, MIRNET_PROFILE_PAGE
        embed   mirnet_notices, MIRNET_NOTICES
        embed   mirnet_licence, MIRNET_LICENCE
        embed   mirnet_manual, MIRNET_MANUAL

#if !defined(_WIN32)
        .section .note.GNU-stack, "", %progbits
#endif

/* Says that nothing here hinders the protection of jumps and returns. */
#if defined(__CET__)
#include <cet.h>
#endif
