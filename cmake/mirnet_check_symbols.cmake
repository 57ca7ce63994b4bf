# cmake -D NM=nm -D ISA=avx2 -D OBJECTS=a.o [-D SHARED=regex] -P mirnet_check_symbols.cmake
#
# Fails if an object that was compiled for one instruction set defines a symbol that other objects could define too
# and that does not say the instruction set in its name. (mirnet_kernels.cmake says why.)
# SHARED are symbols that all sets have in common.
cmake_policy(VERSION 3.22)

execute_process(COMMAND ${NM} --demangle --extern-only --defined-only ${OBJECTS}
  OUTPUT_VARIABLE listing COMMAND_ERROR_IS_FATAL ANY)

# Braces and semicolons of lambdas and arrays would be read as lists.
string(REGEX REPLACE "[][;]" "_" listing "${listing}")
string(REGEX MATCHALL "[^\n]+" lines "${listing}")

set(leaked)
set(named FALSE)
foreach(line IN LISTS lines)
  if(NOT line MATCHES "^[0-9a-f]+ [A-Za-z] (.+)$")
    continue()  # the name of the file
  endif()
  set(symbol "${CMAKE_MATCH_1}")
  if(symbol MATCHES "^__x86\\.get_pc_thunk\\.")
    continue()  # two instructions of every 32-bit processor, which tell the program where it is
  endif()
  if(symbol MATCHES "^\\.refptr\\.")
    continue()  # an address, which objects for Windows have where a library's symbol may lie too far away
  endif()
  if(SHARED AND symbol MATCHES "${SHARED}")
    continue()
  endif()
  if(symbol MATCHES "(^|[^A-Za-z0-9_])(${ISA}|mirnet_xsimd_${ISA})::" OR
      symbol MATCHES "^[a-z0-9_]+_${ISA}$" OR
      symbol MATCHES "^mirnet::v[0-9_]+::linked::(bfloat16_)?kernels_${ISA}\\(\\)$")
    set(named TRUE)
  else()
    string(APPEND leaked "\n  ${symbol}")
  endif()
endforeach()

if(leaked)
  message(FATAL_ERROR "the object for ${ISA} defines symbols that do not name it:${leaked}")
endif()
if(NOT named)
  message(FATAL_ERROR "the object for ${ISA} defines no symbol")
endif()
