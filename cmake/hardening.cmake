# What compiler and linker do so that a mistake ends the program instead of being of use to somebody: checks of buffers
# (_FORTIFY_SOURCE, stack protector, bounds in the standard library), large stack frames touched page by page, jumps and
# returns that arrive where they should, another address at every start (PIE), tables of functions that are read-only
# before main begins, no stack with code in it.
#
#   mirnet_harden(TARGET...)
#
# compiles and links targets with it, each part as far as compiler, C library and linker have it. Debug builds, without
# the optimisation that _FORTIFY_SOURCE needs, and sanitizers, which find more of the same and conflict with it, go
# without. tests/cli/test_hardening.py looks at the program.

include(CheckCXXCompilerFlag)
include(CheckCXXSourceCompiles)
include(CheckLinkerFlag)

set(mirnet_hardening_flags)
set(mirnet_hardening_link_flags)
set(wanted_flags -fstack-protector-strong)
set(wanted_link_flags)
if(NOT WIN32)  # where the compiler probes the stack and the linker enables ASLR by default
  list(APPEND wanted_flags -fPIE -fstack-clash-protection -fcf-protection=full)
  set(wanted_link_flags -pie LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)
endif()
foreach(flag IN LISTS wanted_flags)
  string(MAKE_C_IDENTIFIER MIRNET_HAS${flag} has)
  check_cxx_compiler_flag(${flag} ${has})
  if(${has})
    list(APPEND mirnet_hardening_flags ${flag})
  endif()
endforeach()
# Not where CMake asks for -fPIC, which shared libraries need and which serves programs as well.
if("-fPIE" IN_LIST mirnet_hardening_flags)
  list(REMOVE_ITEM mirnet_hardening_flags -fPIE)
  list(APPEND mirnet_hardening_flags "$<$<NOT:$<BOOL:$<TARGET_PROPERTY:POSITION_INDEPENDENT_CODE>>>:-fPIE>")
endif()
foreach(flag IN LISTS wanted_link_flags)
  string(MAKE_C_IDENTIFIER MIRNET_HAS_${flag} has)
  check_linker_flag(CXX ${flag} ${has})
  if(${has})
    list(APPEND mirnet_hardening_link_flags ${flag})
  endif()
endforeach()
foreach(level IN ITEMS 3 2)  # asked for more than it has, the C library takes less
  set(CMAKE_REQUIRED_FLAGS "-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${level}")
  check_cxx_source_compiles("
#include <cstdio>
#if __USE_FORTIFY_LEVEL != ${level}
#error another level
#endif
int main() {}" MIRNET_HAS_FORTIFY_${level})
  unset(CMAKE_REQUIRED_FLAGS)
  if(MIRNET_HAS_FORTIFY_${level})
    list(APPEND mirnet_hardening_flags -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${level})
    break()
  endif()
endforeach()
list(APPEND mirnet_hardening_flags -D_GLIBCXX_ASSERTIONS)

function(mirnet_harden)
  if(MIRNET_SANITIZE)
    return()
  endif()
  foreach(target IN LISTS ARGN)
    target_compile_options(${target} PRIVATE "$<$<NOT:$<CONFIG:Debug>>:${mirnet_hardening_flags}>")
    target_link_options(${target} PRIVATE "$<$<NOT:$<CONFIG:Debug>>:${mirnet_hardening_link_flags}>")
  endforeach()
endfunction()
