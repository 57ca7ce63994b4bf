# 64-bit Windows by MinGW-w64, with the threads of POSIX, as std::thread needs them. There is nothing here to run its
# programs with.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)

# The libraries of headers are those of this machine, but its folder /usr/include holds its C library too: what of it is
# wanted gets a folder of its own.
get_property(is_trial GLOBAL PROPERTY IN_TRY_COMPILE)
if(NOT is_trial)
  set(host ${CMAKE_BINARY_DIR}/host)
  file(MAKE_DIRECTORY ${host}/include)
  foreach(library IN ITEMS xsimd doctest)
    file(CREATE_LINK /usr/include/${library} ${host}/include/${library} SYMBOLIC)
  endforeach()
  # doctest's own package names /usr/include.
  file(COPY /usr/lib/cmake/doctest/doctestConfigVersion.cmake DESTINATION ${host}/lib/cmake/doctest)
  file(CONFIGURE OUTPUT ${host}/lib/cmake/doctest/doctestConfig.cmake @ONLY CONTENT
    "add_library(doctest::doctest INTERFACE IMPORTED)\ntarget_include_directories(doctest::doctest INTERFACE @host@/include)\n")
  list(PREPEND CMAKE_PREFIX_PATH ${host} /usr)
endif()
