# Big-endian, and plain kernels: xsimd 8 does not know this processor's vector instructions.
set(triplet s390x-linux-gnu)
set(CMAKE_SYSTEM_PROCESSOR s390x)
set(emulator qemu-s390x -L /usr/${triplet})
include(${CMAKE_CURRENT_LIST_DIR}/linux.cmake)
