# 32-bit ARM with NEON and fused multiply-add (Cortex-A7, A15 and later). File sizes and times have 64 bits, without
# which a 32-bit program cannot open every file of today's file systems.
set(triplet arm-linux-gnueabihf)
set(CMAKE_SYSTEM_PROCESSOR armv7-a)
set(emulator qemu-arm -L /usr/${triplet})
set(CMAKE_CXX_FLAGS_INIT "-march=armv7-a -mfpu=neon-vfpv4 -mfloat-abi=hard -Wno-psabi -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64")
include(${CMAKE_CURRENT_LIST_DIR}/linux.cmake)
