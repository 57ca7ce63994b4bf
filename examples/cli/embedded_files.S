/* The files that the program carries. */
#include "../embed.inc"

        embed   mirnet_builtin_weights, MIRNET_BUILTIN_WEIGHTS
        embed   mirnet_comparison_page, MIRNET_COMPARISON_PAGE
        embed   mirnet_profile_page, MIRNET_PROFILE_PAGE
        embed   mirnet_notices, MIRNET_NOTICES
        embed   mirnet_licence, MIRNET_LICENCE
        embed   mirnet_manual, MIRNET_MANUAL
