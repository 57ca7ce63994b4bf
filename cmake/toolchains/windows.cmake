# 64-bit Windows by MinGW-w64, with the threads of POSIX, as std::thread needs them. Wine runs the programs here, where
# it is installed. The program's picture libraries are those that scripts/build-windows-libraries.sh builds.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static -fstack-protector-strong")  # a library has what the latter calls
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
# /usr/bin may have pkg-config of this machine, whose answers are for this machine.
set(CMAKE_DISABLE_FIND_PACKAGE_PkgConfig ON)

get_property(is_trial GLOBAL PROPERTY IN_TRY_COMPILE)
if(NOT is_trial)
  # The libraries of headers are those of this machine, but its folder /usr/include holds its C library too: what of it
  # is wanted gets a folder of its own.
  set(host ${CMAKE_BINARY_DIR}/host)
  file(MAKE_DIRECTORY ${host}/include)
  foreach(library IN ITEMS xsimd doctest CLI nlohmann stb)
    file(CREATE_LINK /usr/include/${library} ${host}/include/${library} SYMBOLIC)
  endforeach()
  # doctest's own package names /usr/include, as CLI11's does.
  foreach(package IN ITEMS "doctest doctest doctest::doctest" "CLI11 CLI11 CLI11::CLI11"
      "nlohmann_json nlohmann_json nlohmann_json::nlohmann_json")
    separate_arguments(package)
    list(GET package 0 folder)
    list(GET package 1 name)
    list(GET package 2 target)
    file(GLOB version_file /usr/lib/cmake/${folder}/${name}ConfigVersion.cmake
      /usr/share/cmake/${folder}/${name}ConfigVersion.cmake /usr/lib/*/cmake/${folder}/${name}ConfigVersion.cmake)
    if(version_file)
      file(COPY ${version_file} DESTINATION ${host}/lib/cmake/${folder})
    endif()
    file(CONFIGURE OUTPUT ${host}/lib/cmake/${folder}/${name}Config.cmake @ONLY CONTENT
      "add_library(@target@ INTERFACE IMPORTED)\ntarget_include_directories(@target@ INTERFACE @host@/include)\n")
  endforeach()
  if(NOT MIRNET_WINDOWS_LIBRARIES)
    set(MIRNET_WINDOWS_LIBRARIES ${CMAKE_SOURCE_DIR}/build/windows-libraries)
  endif()
  # Beside the static library there is one that needs a DLL.
  set(ZLIB_LIBRARY /usr/x86_64-w64-mingw32/lib/libz.a CACHE FILEPATH "zlib, static")
  list(PREPEND CMAKE_PREFIX_PATH ${MIRNET_WINDOWS_LIBRARIES} /usr/x86_64-w64-mingw32 ${host} /usr)
endif()

# wine.sh keeps Wine from the settings in the home folder, to which it would add menu entries.
find_program(WINE_PROGRAM NAMES wine64 wine HINTS /usr/lib/wine)
if(WINE_PROGRAM)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${CMAKE_CURRENT_LIST_DIR}/wine.sh ${WINE_PROGRAM})
endif()
