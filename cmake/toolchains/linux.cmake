# What the Linux targets have in common, for the toolchain file of one that has set `triplet` (Debian's name of it), the
# processor and, if there is one, `emulator`: how programs for it are run here.
#
# Debian's cross compilers look into /usr/include themselves, behind the target's own headers: libraries of headers
# (xsimd, stb, doctest, Eigen) are there for every target.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_CXX_COMPILER ${triplet}-g++)
if(DEFINED emulator)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${emulator})
endif()

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
