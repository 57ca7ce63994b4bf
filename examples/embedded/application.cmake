# tile_application(TARGET [SOURCE ...]) adds the application to a program: the named sources of this folder (default:
# restore_tile.cpp), the weights, converted so that they are used in place, and the tile.
find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)

function(tile_application target)
  set(here ${CMAKE_CURRENT_FUNCTION_LIST_DIR})
  set(golden ${here}/../../tests/golden/v1_w8_legacy)
  set(weights ${CMAKE_CURRENT_BINARY_DIR}/tile.mirw)
  set(convert ${here}/../../weights/convert.py)
  add_custom_command(OUTPUT ${weights}
    COMMAND ${Python3_EXECUTABLE} -B ${convert} ${golden}/model.pth ${weights} --dtype f32 --layout packed
    DEPENDS ${convert} ${golden}/model.pth VERBATIM)
  set(sources ${ARGN})
  if(NOT sources)
    set(sources restore_tile.cpp)
  endif()
  list(TRANSFORM sources PREPEND ${here}/)
  target_sources(${target} PRIVATE ${sources} ${here}/assets.S)
  target_include_directories(${target} PRIVATE ${here})
  set_source_files_properties(${here}/assets.S TARGET_DIRECTORY ${target} PROPERTIES
    COMPILE_DEFINITIONS
      "TILE_WEIGHTS=\"${weights}\";TILE_INPUT=\"${golden}/input.npy\";TILE_EXPECTED=\"${golden}/output.npy\""
    OBJECT_DEPENDS "${weights};${golden}/input.npy;${golden}/output.npy")
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions;-fno-rtti>)
  target_link_libraries(${target} PRIVATE mirnet::mirnet)
endfunction()
