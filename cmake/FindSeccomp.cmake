# Finds libseccomp, which comes without a CMake package, and defines Seccomp::Seccomp.
include(FindPackageHandleStandardArgs)

find_path(SECCOMP_INCLUDE_DIR seccomp.h DOC "Folder that holds seccomp.h")
find_library(SECCOMP_LIBRARY seccomp DOC "libseccomp")
mark_as_advanced(SECCOMP_INCLUDE_DIR SECCOMP_LIBRARY)

find_package_handle_standard_args(Seccomp
  REQUIRED_VARS SECCOMP_LIBRARY SECCOMP_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "the program decodes pictures behind a filter of system calls, made by libseccomp (Debian and Ubuntu: libseccomp-dev)")

if(Seccomp_FOUND AND NOT TARGET Seccomp::Seccomp)
  add_library(Seccomp::Seccomp UNKNOWN IMPORTED)
  set_target_properties(Seccomp::Seccomp PROPERTIES
    IMPORTED_LOCATION "${SECCOMP_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${SECCOMP_INCLUDE_DIR}")
endif()
