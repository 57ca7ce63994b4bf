/* The weights that README's example uses, and the file that they were made of. */
        .section .rodata.weights, "a", %progbits
        .balign 64
        .globl  weights, weights_end
weights:
        .incbin PACKED
weights_end:
        .globl  shipped, shipped_end
shipped:
        .incbin SHIPPED
shipped_end:

        .section .note.GNU-stack, "", %progbits
