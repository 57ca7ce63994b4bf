# Finds xsimd by its header and defines XsimdHeaders::XsimdHeaders. The CMake package that some distributions ship
# with xsimd 8 cannot be used: its target links a library (xtl) that they do not bring.
include(FindPackageHandleStandardArgs)

# A project that has made a target of xsimd (with FetchContent, say) means that one.
foreach(target IN ITEMS xsimd xsimd::xsimd)
  if(NOT XSIMD_INCLUDE_DIR AND TARGET ${target})
    get_target_property(dirs ${target} INTERFACE_INCLUDE_DIRECTORIES)
    string(REGEX REPLACE "\\$<BUILD_INTERFACE:([^>]*)>" "\\1" dirs "${dirs}")
    find_path(XSIMD_INCLUDE_DIR xsimd/xsimd.hpp PATHS ${dirs} NO_DEFAULT_PATH)
  endif()
endforeach()
find_path(XSIMD_INCLUDE_DIR xsimd/xsimd.hpp DOC "Folder that holds xsimd/xsimd.hpp")
mark_as_advanced(XSIMD_INCLUDE_DIR)

set(XsimdHeaders_VERSION)
if(EXISTS "${XSIMD_INCLUDE_DIR}/xsimd/config/xsimd_config.hpp")
  set(numbers)
  foreach(part IN ITEMS MAJOR MINOR PATCH)
    file(STRINGS "${XSIMD_INCLUDE_DIR}/xsimd/config/xsimd_config.hpp" line
      REGEX "^#define XSIMD_VERSION_${part} [0-9]+" LIMIT_COUNT 1)
    string(REGEX MATCH "[0-9]+" number "${line}")
    list(APPEND numbers ${number})
  endforeach()
  list(JOIN numbers . XsimdHeaders_VERSION)
endif()

find_package_handle_standard_args(XsimdHeaders
  REQUIRED_VARS XSIMD_INCLUDE_DIR
  VERSION_VAR XsimdHeaders_VERSION
  REASON_FAILURE_MESSAGE "mirnet needs the headers of xsimd (Debian and Ubuntu: libxsimd-dev). If they are installed elsewhere, set XSIMD_INCLUDE_DIR to the folder that holds xsimd/xsimd.hpp. With MIRNET_SIMD=OFF it is not needed, and everything takes many times as long.")

if(XsimdHeaders_FOUND AND NOT TARGET XsimdHeaders::XsimdHeaders)
  add_library(XsimdHeaders::XsimdHeaders INTERFACE IMPORTED)
  target_include_directories(XsimdHeaders::XsimdHeaders SYSTEM INTERFACE "${XSIMD_INCLUDE_DIR}")
endif()
