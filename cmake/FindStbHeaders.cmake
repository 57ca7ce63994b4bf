# Finds the headers of stb, which come without a CMake package, and defines StbHeaders::StbHeaders. Each has a version of
# its own, which only a comment tells: StbHeaders_IMAGE_VERSION and StbHeaders_IMAGE_WRITE_VERSION.
include(FindPackageHandleStandardArgs)

find_path(STB_INCLUDE_DIR stb_image.h PATH_SUFFIXES stb DOC "Folder that holds stb_image.h")
mark_as_advanced(STB_INCLUDE_DIR)

foreach(header IN ITEMS image image_write)
  string(TOUPPER ${header} upper)
  set(StbHeaders_${upper}_VERSION "of an unknown version")
  if(EXISTS "${STB_INCLUDE_DIR}/stb_${header}.h")
    file(STRINGS "${STB_INCLUDE_DIR}/stb_${header}.h" line REGEX "^/\\* stb_${header} - v[0-9.]+ " LIMIT_COUNT 1)
    if(line MATCHES "v([0-9.]+)")
      set(StbHeaders_${upper}_VERSION ${CMAKE_MATCH_1})
    endif()
  endif()
endforeach()

find_package_handle_standard_args(StbHeaders
  REQUIRED_VARS STB_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "mirnet/io needs the headers of stb (Debian and Ubuntu: libstb-dev). If they are installed elsewhere, set STB_INCLUDE_DIR to the folder that holds stb_image.h")

if(StbHeaders_FOUND AND NOT TARGET StbHeaders::StbHeaders)
  add_library(StbHeaders::StbHeaders INTERFACE IMPORTED)
  target_include_directories(StbHeaders::StbHeaders SYSTEM INTERFACE "${STB_INCLUDE_DIR}")
endif()
