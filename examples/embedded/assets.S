/* What the application carries in read-only memory, each from the start of a 64-byte line: a packed weight file, and a
   tile with what PyTorch makes of it (the data of .npy files, behind headers of 128 bytes). */
        .section .rodata.tile_assets, "a", %progbits
        .balign 64
        .globl  tile_weights, tile_weights_end
        .type   tile_weights, %object
tile_weights:
        .incbin TILE_WEIGHTS
tile_weights_end:
        .size   tile_weights, tile_weights_end - tile_weights

        .balign 64
        .globl  tile_input
        .type   tile_input, %object
tile_input:
        .incbin TILE_INPUT, 128
        .size   tile_input, . - tile_input

        .balign 64
        .globl  tile_expected
        .type   tile_expected, %object
tile_expected:
        .incbin TILE_EXPECTED, 128
        .size   tile_expected, . - tile_expected

#if defined(__ELF__) && defined(__linux__)
        .section .note.GNU-stack, "", %progbits
#endif
