# Emscripten, as Debian packages it or as it installs itself: em-config says where it is.
find_program(MIRNET_EM_CONFIG em-config REQUIRED)
mark_as_advanced(MIRNET_EM_CONFIG)
execute_process(COMMAND ${MIRNET_EM_CONFIG} EMSCRIPTEN_ROOT
  OUTPUT_VARIABLE root OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
include(${root}/cmake/Modules/Platform/Emscripten.cmake)
