# What cpack makes of a build, in its folder packages:
#
#   mirnet-VERSION-SYSTEM-PROCESSOR.tar.gz (.zip for Windows)
#       the program, its weights, manual and licences, in one folder, which runs from anywhere
#   mirnet_VERSION-REVISION_ARCHITECTURE.deb and more
#       Debian packages, one for each mirnet_package below; where dpkg-shlibdeps is
#
# Install rules name the component that their files belong to. A part with a package of its own takes a component of its
# own and is added below:
#
#   mirnet_package(COMPONENT NAME PACKAGE SECTION SECTION DESCRIPTION "SYNOPSIS\nTEXT..." [ARCHITECTURE all]
#     [TARGETS TARGET...] [DEPENDS TEXT...] [RECOMMENDS TEXT...] [SUGGESTS TEXT...] [CONTROL FILE...])
#
# TARGETS are programs and shared libraries in it: the package depends on those that have the libraries they link.
# DEPENDS and so on are more relations, as Debian's control files have them; ${version} is the version of all these
# packages. CONTROL names control files. The licence, change logs, compressed manual pages and the like are added to
# each package when cpack runs (packages/finish.cmake), and the packages of libraries are found then
# (packages/options.cmake.in).

if(NOT MIRNET_INSTALL)
  message(FATAL_ERROR "MIRNET_PACKAGES: packages hold what is installed, and MIRNET_INSTALL is off")
endif()
if(CMAKE_CONFIGURATION_TYPES)
  message(FATAL_ERROR "MIRNET_PACKAGES: needs a generator of one configuration, such as Ninja; found ${CMAKE_GENERATOR}")
endif()
if(NOT TARGET mirnet_cli AND NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  message(FATAL_ERROR "MIRNET_PACKAGES: for ${CMAKE_SYSTEM_NAME}, a package is an archive of the program, and "
    "MIRNET_BUILD_CLI is off")
endif()

# --- What all have in common --------------------------------------------------------------------------------------

set(CPACK_PACKAGE_NAME mirnet)
set(CPACK_PACKAGE_VENDOR "mirnet")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_MIRNET_INPUTS ${PROJECT_BINARY_DIR}/cmake/packages)  # for packages/finish.cmake
set(CPACK_MIRNET_HOST ${CMAKE_HOST_SYSTEM_NAME})
set(CPACK_MIRNET_CHANGES ${PROJECT_SOURCE_DIR}/CHANGELOG.md)
set(CPACK_PROJECT_CONFIG_FILE ${CPACK_MIRNET_INPUTS}/options.cmake)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/packages/finish.cmake)
set(CPACK_POST_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/packages/finish.cmake)
set(CPACK_ERROR_ON_ABSOLUTE_INSTALL_DESTINATION ON)
find_package(Git QUIET)

# --- The archive --------------------------------------------------------------------------------------------------

string(TOLOWER "${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}" system)
string(REPLACE "amd64" "x86_64" system "${system}")  # as Windows calls it
set(CPACK_PACKAGE_FILE_NAME mirnet-${PROJECT_VERSION}-${system})
set(CPACK_GENERATOR)
if(TARGET mirnet_cli)
  set(CPACK_GENERATOR TGZ)
  set(program bin/mirnet)
  set(CPACK_MIRNET_READELF ${CMAKE_READELF})
  set(manual "Its manual is share/man/man1/mirnet.1; what")
  if(WIN32)
    set(manual "\"mirnet help denoise\" tells all options; what")
    set(CPACK_GENERATOR ZIP)
    set(program "bin\\mirnet")
    set(CPACK_MIRNET_READELF)
  endif()
  get_property(CPACK_MIRNET_LOADED_LIBRARIES GLOBAL PROPERTY MIRNET_LOADED_LIBRARIES)
  configure_file(cmake/packages/README.txt.in ${CPACK_MIRNET_INPUTS}/README.txt @ONLY)
endif()

# --- Debian packages ----------------------------------------------------------------------------------------------

set(packages)  # components
set(packaged_files)  # component=file
function(mirnet_package component)
  cmake_parse_arguments(PARSE_ARGV 1 package "" "NAME;SECTION;DESCRIPTION;ARCHITECTURE"
    "TARGETS;DEPENDS;RECOMMENDS;SUGGESTS;CONTROL")
  if(package_UNPARSED_ARGUMENTS OR NOT package_NAME OR NOT package_SECTION OR NOT package_DESCRIPTION)
    message(FATAL_ERROR "mirnet_package(${component}): expected NAME, SECTION, DESCRIPTION and options, found ${ARGN}")
  endif()
  string(TOUPPER ${component} upper)
  set(prefix CPACK_DEBIAN_${upper})
  set(${prefix}_PACKAGE_NAME ${package_NAME} PARENT_SCOPE)
  set(${prefix}_PACKAGE_SECTION ${package_SECTION} PARENT_SCOPE)
  set(${prefix}_DESCRIPTION "${package_DESCRIPTION}" PARENT_SCOPE)
  if(package_ARCHITECTURE)
    set(${prefix}_PACKAGE_ARCHITECTURE ${package_ARCHITECTURE} PARENT_SCOPE)
  endif()
  if(NOT package_NAME STREQUAL CPACK_PACKAGE_NAME)
    set(${prefix}_PACKAGE_SOURCE ${CPACK_PACKAGE_NAME} PARENT_SCOPE)
  endif()
  foreach(relation IN ITEMS DEPENDS RECOMMENDS SUGGESTS)
    list(JOIN package_${relation} ", " text)
    set(${prefix}_PACKAGE_${relation} "${text}" PARENT_SCOPE)
  endforeach()
  set(${prefix}_PACKAGE_CONTROL_EXTRA "${package_CONTROL}" PARENT_SCOPE)
  foreach(target IN LISTS package_TARGETS)
    list(APPEND packaged_files ${upper}=$<TARGET_FILE:${target}>)
  endforeach()
  set(packaged_files "${packaged_files}" PARENT_SCOPE)
  set(packages ${packages} ${component} PARENT_SCOPE)
endfunction()

if(MIRNET_DPKG_SHLIBDEPS)
  list(PREPEND CPACK_GENERATOR DEB)

  # Debian's own packages of a version would begin with the revision 1 and replace these.
  set(MIRNET_PACKAGES_REVISION 0mirnet1 CACHE STRING "What follows the version of mirnet in that of Debian packages")
  set(maintainer "The maintainers of mirnet <maintainers@mirnet.invalid>")
  if(DEFINED ENV{DEBFULLNAME} AND DEFINED ENV{DEBEMAIL})
    set(maintainer "$ENV{DEBFULLNAME} <$ENV{DEBEMAIL}>")
  endif()
  set(MIRNET_PACKAGES_MAINTAINER "${maintainer}" CACHE STRING "Who answers for the Debian packages: NAME <ADDRESS>")
  set(version ${PROJECT_VERSION}-${MIRNET_PACKAGES_REVISION})
  set(CPACK_PACKAGE_CONTACT "${MIRNET_PACKAGES_MAINTAINER}")
  set(CPACK_DEBIAN_PACKAGE_RELEASE ${MIRNET_PACKAGES_REVISION})
  set(CPACK_MIRNET_DEBIAN_VERSION ${version})
  set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
  set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
  set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
  set(CPACK_DEB_COMPONENT_INSTALL ON)

  file(READ THIRD-PARTY-NOTICES mirnet_third_party)
  string(STRIP "${mirnet_third_party}" mirnet_third_party)  # the last line's end is the template's
  configure_file(cmake/packages/copyright.in ${CPACK_MIRNET_INPUTS}/copyright @ONLY)

  if(TARGET mirnet_cli)
    # Without these libraries, which it loads when a picture needs them, the program lacks a format.
    set(loaded_packages)
    foreach(library IN LISTS CPACK_MIRNET_LOADED_LIBRARIES)
      execute_process(COMMAND dpkg-query --search "*/${library}" OUTPUT_VARIABLE owners ERROR_QUIET)
      if(owners MATCHES "^([a-z0-9.+-]+)[:,]")
        list(APPEND loaded_packages ${CMAKE_MATCH_1})
      else()
        message(WARNING "MIRNET_PACKAGES: the program loads ${library}, which is in no Debian package that is "
          "installed here: its package will not recommend the one that has it")
      endif()
    endforeach()
    set(heic_package)
    if(TARGET mirnet_heic)
      set(heic_package mirnet-heic)
    endif()
    mirnet_package(program NAME mirnet SECTION graphics TARGETS mirnet_cli
      RECOMMENDS "mirnet-weights (= ${version})" ${loaded_packages} SUGGESTS ${heic_package}
      DESCRIPTION "denoiser for photographs
mirnet restores noisy photographs with the neural network MIRNet, on any CPU.
It uses the fastest instructions that the machine has, up to AVX-512. It reads
and writes PNG, JPEG, TIFF, WebP and JPEG XL, reads AVIF and raw files of
cameras, and keeps 16 bits a sample, colour profiles and metadata.

Weights are compiled in; those of a larger network are in mirnet-weights.")
  endif()

  if(TARGET mirnet_heic)
    mirnet_package(heic NAME mirnet-heic SECTION graphics TARGETS mirnet_heic DEPENDS "mirnet (= ${version})"
      DESCRIPTION "denoiser for photographs - HEIC decoder
mirnet restores noisy photographs with the neural network MIRNet, on any CPU.

This is the part of it that reads HEIC, the format of many telephones. It is
apart because it takes libheif, whose codecs are in part under the GPL.")
  endif()

  mirnet_package(weights NAME mirnet-weights SECTION graphics ARCHITECTURE all
    DESCRIPTION "denoiser for photographs - weights
Weight files of the neural network MIRNet for removing noise: the one that is
compiled into the program mirnet, for programs that use its libraries; a
larger one, for \"mirnet denoise --model high\"; and that of the version 0.1.")

  configure_file(cmake/packages/prerm.in ${CPACK_MIRNET_INPUTS}/headers/prerm @ONLY)
  mirnet_package(headers NAME libmirnet-dev SECTION libdevel ARCHITECTURE all
    DEPENDS "libxsimd-dev (>= 8.1)" python3:any RECOMMENDS libstb-dev libeigen3-dev "mirnet-weights (= ${version})"
    CONTROL ${CPACK_MIRNET_INPUTS}/headers/prerm
    DESCRIPTION "image restoration networks on CPUs - C++ headers
mirnet is a header-only library for C++20 that runs the image restoration
networks MIRNet and MIRNet-v2, and networks of your own, on CPUs: tensors,
layers, and SIMD kernels from SSE2 to AVX-512 and NEON.

This package has the headers, what CMake and pkg-config read, and scripts that
convert weights of PyTorch and ONNX and that join the headers into one.
mirnet::io needs libstb-dev, and mirnet::eigen needs libeigen3-dev.")

  if(TARGET mirnet_c)
    get_target_property(interface mirnet_c SOVERSION)
    set(c_library libmirnet${interface})
    # No symbols file: every version adds to the interface, and structures that grow are no new symbols.
    file(CONFIGURE OUTPUT ${CPACK_MIRNET_INPUTS}/c_library/shlibs
      CONTENT "libmirnet ${interface} ${c_library} (>= ${PROJECT_VERSION})\n")
    file(CONFIGURE OUTPUT ${CPACK_MIRNET_INPUTS}/c_library/triggers CONTENT "activate-noawait ldconfig\n")
    mirnet_package(c_library NAME ${c_library} SECTION libs TARGETS mirnet_c
      CONTROL ${CPACK_MIRNET_INPUTS}/c_library/shlibs ${CPACK_MIRNET_INPUTS}/c_library/triggers
      DESCRIPTION "denoiser for photographs - C library
mirnet restores noisy photographs with the neural network MIRNet, on any CPU.

This is a shared library with an interface in C: it loads weights and restores
rows of 8-bit, 16-bit or float samples in memory.")

    # libmirnet-dev has the mirnetConfig.cmake that find_package(mirnet COMPONENTS c) reads.
    mirnet_package(c_development NAME libmirnet-c-dev SECTION libdevel
      DEPENDS "${c_library} (= ${version})" "libmirnet-dev (= ${version})" RECOMMENDS "mirnet-weights (= ${version})"
      DESCRIPTION "denoiser for photographs - C library (development files)
mirnet restores noisy photographs with the neural network MIRNet, on any CPU.

This package has the header mirnet.h, the static library, and what CMake and
pkg-config read, for programs that use the library with an interface in C.")
  endif()
elseif(NOT WIN32)
  message(STATUS "Without Debian packages: dpkg-shlibdeps is not there, or this is not the machine that is built for")
endif()
if(NOT CPACK_GENERATOR)
  message(FATAL_ERROR "MIRNET_PACKAGES: an archive needs MIRNET_BUILD_CLI, which is off, and Debian packages need "
    "dpkg-shlibdeps (from dpkg-dev), which is not there")
endif()

# --- Options for each kind of package, when cpack runs ------------------------------------------------------------

set(archived_files)
if(TARGET mirnet_cli)
  set(archived_files $<TARGET_FILE:mirnet_cli>)
endif()
configure_file(cmake/packages/options.cmake.in ${CPACK_MIRNET_INPUTS}/options.cmake.in @ONLY)
file(GENERATE OUTPUT ${CPACK_MIRNET_INPUTS}/options.cmake INPUT ${CPACK_MIRNET_INPUTS}/options.cmake.in)
include(CPack)
