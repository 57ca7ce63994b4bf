# cmake -D QEMU=qemu-system-arm -D PROGRAM=restore_tile.elf -D EXPECTED=REGEX -P run_in_qemu.cmake
#
# Runs the program on the emulated board and looks at its exit code and at what it says.
cmake_policy(VERSION 3.22)

execute_process(
  COMMAND ${QEMU} -machine mps2-an500 -nographic -serial none -monitor none
    -semihosting-config enable=on,target=native -kernel ${PROGRAM}
  RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output TIMEOUT 120)
message("${output}")
if(NOT code EQUAL 0)
  message(FATAL_ERROR "the program ended with ${code}, expected 0")
endif()
if(EXPECTED MATCHES "PyTorch")
  if(NOT output MATCHES "cut off: the file has ([0-9]+) bytes, its header says ([0-9]+): it is truncated\n")
    message(FATAL_ERROR "the program did not tell of a file that was cut off")
  endif()
  math(EXPR missing "${CMAKE_MATCH_2} - ${CMAKE_MATCH_1}")
  if(NOT missing EQUAL 1)
    message(FATAL_ERROR "one byte was cut off, not ${missing}")
  endif()
endif()
foreach(line IN ITEMS "${EXPECTED}" "flash: [0-9]+ bytes of code, [0-9]+ of constants" "RAM: [0-9]+ bytes"
    "stack: [0-9]+ bytes of 32768 used")
  if(NOT output MATCHES "${line}")
    message(FATAL_ERROR "the program did not say: ${line}")
  endif()
endforeach()
