# The warnings that the project's own sources are compiled with; nobody who links the library inherits them.
add_library(mirnet_warnings INTERFACE)
target_compile_options(mirnet_warnings INTERFACE
  $<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>:-Wall;-Wextra;-Wpedantic;-Wconversion;-Wshadow>)
