# cpack runs this between installing into a folder and packing what is there: it adds what a kind of package has besides
# files of components, and gives all files one date. Afterwards cpack runs it again, with the packages' names. See
# cmake/packages.cmake.
cmake_minimum_required(VERSION 3.22)

# run(COMMAND...): fails if the command does. The variable `output` has what it prints.
function(run)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE said RESULT_VARIABLE failed
    OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(failed)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "cpack: cannot finish packages, as \"${command}\" fails: ${failed} ${said}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

# compress(FILE): to FILE.gz, without name and date.
function(compress file)
  run(gzip -9 --no-name --force "${file}")
  file(CHMOD "${file}.gz" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
endfunction()

# copy(FROM TO): with the permissions of a file to read, whatever those of the source are.
function(copy from to)
  file(READ "${from}" content)
  file(WRITE "${to}" "${content}")
  file(CHMOD "${to}" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
endfunction()

function(finish_debian_package folder name)
  set(share "${folder}/usr/share")
  set(doc "${share}/doc/${name}")
  if(IS_DIRECTORY "${share}/doc/mirnet" AND NOT name STREQUAL "mirnet")
    file(RENAME "${share}/doc/mirnet" "${doc}")
  endif()
  file(REMOVE "${doc}/LICENSE" "${doc}/THIRD-PARTY-NOTICES")  # which are in this:
  copy("${CPACK_MIRNET_INPUTS}/copyright" "${doc}/copyright")
  copy("${CPACK_MIRNET_INPUTS}/changelog.Debian" "${doc}/changelog.Debian")
  compress("${doc}/changelog.Debian")
  copy("${CPACK_MIRNET_CHANGES}" "${doc}/changelog")
  compress("${doc}/changelog")
  file(GLOB pages "${share}/man/man*/*.[1-9]")
  foreach(page IN LISTS pages)
    compress("${page}")
  endforeach()
  if(IS_DIRECTORY "${share}/zsh/site-functions")  # where Debian's zsh looks in /usr/local alone
    file(RENAME "${share}/zsh/site-functions" "${share}/zsh/vendor-completions")
  endif()
endfunction()

# The text file of an archive, at its top.
function(finish_archive folder)
  file(READ "${CPACK_MIRNET_INPUTS}/README.txt" text)
  if(CPACK_MIRNET_READELF)
    run(${CMAKE_COMMAND} -E env LC_ALL=C "${CPACK_MIRNET_READELF}" -d "${folder}/bin/mirnet")
    string(REGEX MATCHALL "\\(NEEDED\\)[^\n]*" needed "${output}")
    list(TRANSFORM needed REPLACE "^.*\\[(.*)\\]$" "    \\1")
    list(JOIN needed "\n" needed)
    string(APPEND text "\nThe program takes these libraries from the system:\n\n${needed}\n")
    if(CPACK_MIRNET_LOADED_LIBRARIES)
      list(TRANSFORM CPACK_MIRNET_LOADED_LIBRARIES PREPEND "    ")
      list(JOIN CPACK_MIRNET_LOADED_LIBRARIES "\n" loaded)
      string(APPEND text "\nand these, where they are there, for TIFF, JPEG XL, AVIF and raw files of cameras:\n\n"
        "${loaded}\n")
    endif()
    string(APPEND text "\nmirnet info lists the formats that it reads and writes with what is there.\n")
  endif()
  file(WRITE "${folder}/README.txt" "${text}")
  file(CHMOD "${folder}/README.txt" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  copy("${CPACK_MIRNET_CHANGES}" "${folder}/share/doc/mirnet/CHANGELOG.md")
endfunction()

# cpack packs an archive in the order in which the file system lists files, with the user who runs it as their owner.
function(repack archive)
  get_filename_component(parent "${CPACK_TEMPORARY_DIRECTORY}" DIRECTORY)
  get_filename_component(folder "${CPACK_TEMPORARY_DIRECTORY}" NAME)
  run(tar --create --file "${archive}.tar" --directory "${parent}" --sort=name --format=gnu --owner=root:0
    --group=root:0 --numeric-owner "${folder}")
  compress("${archive}.tar")
  file(RENAME "${archive}.tar.gz" "${archive}")
endfunction()

if(CPACK_PACKAGE_FILES)
  if(CPACK_GENERATOR STREQUAL "TGZ" AND CPACK_MIRNET_HOST STREQUAL "Linux")
    repack("${CPACK_PACKAGE_FILES}")
  endif()
  return()
endif()

if(CPACK_GENERATOR STREQUAL "DEB")
  foreach(component IN LISTS CPACK_COMPONENTS_ALL)
    string(TOUPPER ${component} upper)
    finish_debian_package("${CPACK_TEMPORARY_DIRECTORY}/${component}" ${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
  endforeach()
else()
  finish_archive("${CPACK_TEMPORARY_DIRECTORY}")
endif()

if(CPACK_MIRNET_HOST STREQUAL "Linux")
  # Folders that were made here have the permissions that the user's umask leaves.
  run(find "${CPACK_TEMPORARY_DIRECTORY}" -type d -exec chmod 0755 {} +)
  run(find "${CPACK_TEMPORARY_DIRECTORY}" -exec touch --no-dereference "--date=@$ENV{SOURCE_DATE_EPOCH}" {} +)
endif()
