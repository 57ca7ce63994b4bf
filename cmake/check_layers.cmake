# cmake -D INCLUDE_DIR=include -P check_layers.cmake
#
# Fails if a header of the library includes from a layer above its own, or a library that its layer does not know.
cmake_policy(VERSION 3.22)

get_filename_component(INCLUDE_DIR ${INCLUDE_DIR} ABSOLUTE)

# Lowest first; a folder may include from itself and from those before it.
set(layers base tensor simd kernels ops runtime dispatch layers model networks io interop)

# Which headers may include other libraries.
set(allowed_xsimd "^simd/")
set(allowed_Eigen "^(interop/|kernels/.*eigen)")
set(allowed_stb "^io/")

file(GLOB_RECURSE headers RELATIVE ${INCLUDE_DIR}/mirnet ${INCLUDE_DIR}/mirnet/*.hpp)
if(NOT headers)
  message(FATAL_ERROR "there are no headers in ${INCLUDE_DIR}/mirnet")
endif()

# version.hpp and config.hpp are below all layers, the umbrella is above them.
function(rank header result)
  if(header MATCHES "^([^/]+)/")
    set(folder ${CMAKE_MATCH_1})
    list(FIND layers ${folder} index)
    if(index EQUAL -1)
      message(SEND_ERROR "${header}: no layer is called ${folder}")
    endif()
  elseif(header STREQUAL "mirnet.hpp")
    list(LENGTH layers index)
  else()
    set(index -1)
  endif()
  set(${result} ${index} PARENT_SCOPE)
endfunction()

foreach(header IN LISTS headers)
  rank(${header} own)
  file(STRINGS ${INCLUDE_DIR}/mirnet/${header} includes REGEX "^ *# *include")
  foreach(line IN LISTS includes)
    if(line MATCHES "<mirnet/([^>]+)>")
      set(included ${CMAKE_MATCH_1})
      rank(${included} other)
      if(NOT EXISTS ${INCLUDE_DIR}/mirnet/${included})
        message(SEND_ERROR "${header} includes ${included}, which does not exist")
      elseif(other GREATER own)
        message(SEND_ERROR "${header} includes ${included}, which belongs to a layer above it")
      endif()
    elseif(line MATCHES "<(xsimd|Eigen|stb)[/_]")
      set(library ${CMAKE_MATCH_1})
      if(NOT header MATCHES "${allowed_${library}}")
        message(SEND_ERROR "${header} includes ${library}, which its layer does not know")
      endif()
    elseif(line MATCHES "\"")
      message(SEND_ERROR "${header}: headers are included as <mirnet/...>: ${line}")
    elseif(line MATCHES "<iostream>")
      message(SEND_ERROR "${header} includes <iostream>, which puts an initialiser into every program")
    endif()
  endforeach()
endforeach()
