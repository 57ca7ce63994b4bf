/* The weights that the operation carries. */
#include "../embed.inc"

        embed   mirnet_gegl_weights, MIRNET_GEGL_WEIGHTS
