/* The weights that the operation carries:
     extern "C" const char mirnet_gegl_weights[];      the first byte, which starts a 64-byte line
     extern "C" const char mirnet_gegl_weights_end[];  one past the last                            */
        .section .rodata.mirnet_gegl_weights, "a", %progbits
        .balign 64
        .globl  mirnet_gegl_weights
        .hidden mirnet_gegl_weights
        .type   mirnet_gegl_weights, %object
mirnet_gegl_weights:
        .incbin MIRNET_GEGL_WEIGHTS
        .globl  mirnet_gegl_weights_end
        .hidden mirnet_gegl_weights_end
        .type   mirnet_gegl_weights_end, %object
mirnet_gegl_weights_end:
        .size   mirnet_gegl_weights, . - mirnet_gegl_weights

        .section .note.GNU-stack, "", %progbits

/* Says that nothing here hinders the protection of jumps and returns. */
#if defined(__CET__)
#include <cet.h>
#endif
