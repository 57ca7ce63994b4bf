# The core in one file (scripts/single_header.py): the target mirnet_single_header makes
# single_include/mirnet/mirnet.hpp in the build folder. With MIRNET_SINGLE_HEADER everything here is built from such a
# file: mirnet_include_dir becomes a folder in which all headers of the core lead to it.
if(MIRNET_SINGLE_HEADER)
  find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
else()
  find_package(Python3 3.9 QUIET COMPONENTS Interpreter)
endif()
if(NOT Python3_Interpreter_FOUND)
  return()
endif()

set(mirnet_single_header ${PROJECT_BINARY_DIR}/single_include/mirnet/mirnet.hpp)
set(single_header_script ${PROJECT_SOURCE_DIR}/scripts/single_header.py)
file(GLOB_RECURSE single_header_parts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/*.hpp)

add_custom_command(OUTPUT ${mirnet_single_header}
  COMMAND ${Python3_EXECUTABLE} -B ${single_header_script} --output ${mirnet_single_header}
  DEPENDS ${single_header_script} ${single_header_parts}
  COMMENT "The core in one file" VERBATIM)
add_custom_target(mirnet_single_header DEPENDS ${mirnet_single_header})

if(MIRNET_SINGLE_HEADER)
  set(mirnet_include_dir ${PROJECT_BINARY_DIR}/include_of_single_header)
  set(single_header_stamp ${PROJECT_BINARY_DIR}/include_of_single_header.stamp)
  add_custom_command(OUTPUT ${single_header_stamp}
    COMMAND ${Python3_EXECUTABLE} -B ${single_header_script} --include-folder ${mirnet_include_dir}
    COMMAND ${CMAKE_COMMAND} -E touch ${single_header_stamp}
    DEPENDS ${single_header_script} ${single_header_parts}
    COMMENT "Headers that lead to the single one" VERBATIM)
  add_custom_target(mirnet_include_of_single_header DEPENDS ${single_header_stamp})
  add_dependencies(mirnet mirnet_include_of_single_header)
endif()
