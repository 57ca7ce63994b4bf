# Where an installed mirnet lies, and how find_package(mirnet) finds it. Components are those of cmake/packages.cmake;
# "cmake --install" without one installs them all.
include(CMakePackageConfigHelpers)

set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME headers)

set(config_dir ${CMAKE_INSTALL_DATADIR}/cmake/mirnet)

install(DIRECTORY include/mirnet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp" PATTERN "kernels.cpp")
install(TARGETS mirnet mirnet_io mirnet_threads mirnet_eigen EXPORT mirnetTargets)
install(EXPORT mirnetTargets NAMESPACE mirnet:: DESTINATION ${config_dir})

set(mirnet_include_dir_to_find ${CMAKE_INSTALL_INCLUDEDIR})  # where kernels.cpp lies
set(mirnet_library_dir_to_find ${CMAKE_INSTALL_LIBDIR})  # and the libraries of the C interface, if they are installed
configure_package_config_file(cmake/mirnetConfig.cmake.in mirnetConfig.cmake INSTALL_DESTINATION ${config_dir}
  PATH_VARS mirnet_include_dir_to_find mirnet_library_dir_to_find)
write_basic_package_version_file(mirnetConfigVersion.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/mirnetConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/mirnetConfigVersion.cmake
  cmake/FindXsimdHeaders.cmake
  cmake/FindStbHeaders.cmake
  cmake/mirnet_check_symbols.cmake
  cmake/mirnet_kernels.cmake
  DESTINATION ${config_dir})

# For projects without CMake; the prefix is found from the file, so that the folder can be moved.
set(pkgconfig_dir ${CMAKE_INSTALL_DATADIR}/pkgconfig)
cmake_path(ABSOLUTE_PATH pkgconfig_dir BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE absolute_pkgconfig_dir)
file(RELATIVE_PATH mirnet_prefix_from_pc ${absolute_pkgconfig_dir} ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" mirnet_prefix_from_pc ${mirnet_prefix_from_pc})
set(mirnet_pc_includedir "\${prefix}")
cmake_path(APPEND mirnet_pc_includedir ${CMAKE_INSTALL_INCLUDEDIR})  # which may be absolute
set(mirnet_pc_requires "xsimd >= 8.1")
set(mirnet_pc_flags)
if(NOT TARGET XsimdHeaders::XsimdHeaders)
  set(mirnet_pc_requires)
  set(mirnet_pc_flags " -DMIRNET_NO_SIMD=1")
endif()
configure_file(cmake/mirnet.pc.in mirnet.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/mirnet.pc DESTINATION ${pkgconfig_dir})

# Weight files from checkpoints and ONNX models, and the core in one header.
install(PROGRAMS weights/convert.py scripts/single_header.py DESTINATION ${CMAKE_INSTALL_DATADIR}/mirnet)
install(DIRECTORY weights/onnx_graph DESTINATION ${CMAKE_INSTALL_DATADIR}/mirnet FILES_MATCHING PATTERN "*.py"
  PATTERN __pycache__ EXCLUDE)

set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME weights)
install(FILES weights/denoise.mirw DESTINATION ${CMAKE_INSTALL_DATADIR}/mirnet)
# For the program's --model, where they are among the sources.
install(FILES weights/denoise-large.mirw weights/denoise-0.1.mirw DESTINATION ${CMAKE_INSTALL_DATADIR}/mirnet OPTIONAL)
# What the weights were trained on, and by whom that is.
install(FILES weights/denoise.md weights/denoise-large.md weights/denoise-training-data.tsv
  DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)

set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME program)
install(FILES LICENSE THIRD-PARTY-NOTICES DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(TARGET mirnet_cli)
  install(TARGETS mirnet_cli)
  if(TARGET mirnet_heic)
    # The program looks for it in either folder; Debian reserves bin for programs that users start.
    set(heic_dir ${CMAKE_INSTALL_BINDIR})
    if(MIRNET_PACKAGES)
      set(heic_dir libexec/mirnet)
    endif()
    install(TARGETS mirnet_heic DESTINATION ${heic_dir} COMPONENT heic)
  endif()
  if(NOT WIN32)  # whose shells know neither
    # The program generates them in a build; a cross build without an emulator has none.
    set(share ${PROJECT_BINARY_DIR}/share)
    install(FILES ${share}/mirnet.1 OPTIONAL DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES ${share}/mirnet.bash OPTIONAL DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME mirnet)
    install(FILES ${share}/_mirnet OPTIONAL DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
    install(FILES ${share}/mirnet.fish OPTIONAL DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
  endif()
endif()
unset(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME)
