/* The weight file that the program carries, byte for byte:
     extern "C" const unsigned char mirnet_builtin_weights[];      starts a 64-byte line
     extern "C" const unsigned char mirnet_builtin_weights_end[];  one past its last byte            */
        .section .rodata.mirnet_builtin_weights, "a", %progbits
        .balign 64
        .globl  mirnet_builtin_weights
        .type   mirnet_builtin_weights, %object
mirnet_builtin_weights:
        .incbin MIRNET_BUILTIN_WEIGHTS
        .globl  mirnet_builtin_weights_end
        .type   mirnet_builtin_weights_end, %object
mirnet_builtin_weights_end:
        .size   mirnet_builtin_weights, mirnet_builtin_weights_end - mirnet_builtin_weights

        .section .note.GNU-stack, "", %progbits
