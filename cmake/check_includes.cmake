# cmake -D SOURCE_DIR=. -P check_includes.cmake
#
# Fails if a source includes a file that its folder may not include. Besides the library and their own files,
#
#   examples/measure   may include nothing
#   examples/cli       may include examples/measure (as "measure/..."): the program
#   bindings           may include examples/measure
#   bench              may include examples/measure, examples/networks and tests/support (as "support/...")
#   tests              may include all of these, except that tests/support includes the library alone
#
# Other examples include nothing from elsewhere.
cmake_policy(VERSION 3.22)

get_filename_component(SOURCE_DIR ${SOURCE_DIR} ABSOLUTE)

# For each folder: dirs_* are the folders in which its includes as "..." are searched, besides that of the source; may_*
# are the folders in which the files found have to lie.
set(folders examples/measure examples/cli bindings bench tests/support tests examples)
set(dirs_examples/measure examples)
set(may_examples/measure examples/measure)
set(dirs_examples/cli examples)
set(may_examples/cli examples/cli examples/measure)
set(dirs_bindings examples)
set(may_bindings bindings examples/measure)
set(dirs_bench examples tests)
set(may_bench bench examples/measure examples/networks tests/support)
set(dirs_tests/support tests)
set(may_tests/support tests/support)
set(dirs_tests examples examples/cli tests tests/fuzz)
set(may_tests tests examples/measure examples/networks examples/cli)
set(dirs_examples examples/embedded)
set(may_examples examples)

set(sources)
foreach(pattern IN ITEMS examples/*.cpp examples/*.hpp bindings/*.cpp bindings/*.hpp bench/*.cpp bench/*.hpp tests/*.cpp tests/*.hpp)
  file(GLOB_RECURSE found RELATIVE ${SOURCE_DIR} ${SOURCE_DIR}/${pattern})
  list(APPEND sources ${found})
endforeach()
if(NOT sources)
  message(FATAL_ERROR "there are no sources in ${SOURCE_DIR}")
endif()

foreach(source IN LISTS sources)
  foreach(folder IN LISTS folders)  # the first that holds it
    if(source MATCHES "^${folder}/")
      set(own ${folder})
      break()
    endif()
  endforeach()
  get_filename_component(own_dir ${source} DIRECTORY)
  file(STRINGS ${SOURCE_DIR}/${source} includes REGEX "^ *# *include *\"")
  foreach(line IN LISTS includes)
    string(REGEX MATCH "\"([^\"]+)\"" quoted "${line}")
    set(included ${CMAKE_MATCH_1})
    if(included MATCHES "\\.inc$")
      continue()  # made by the build
    endif()
    set(allowed FALSE)
    foreach(dir IN ITEMS ${own_dir} ${dirs_${own}})
      if(EXISTS ${SOURCE_DIR}/${dir}/${included})
        foreach(may IN ITEMS ${may_${own}})
          if("${dir}/${included}" MATCHES "^${may}/")
            set(allowed TRUE)
          endif()
        endforeach()
        break()
      endif()
    endforeach()
    if(NOT allowed)
      list(JOIN may_${own} ", " may)
      message(SEND_ERROR "${source} includes \"${included}\": it may include the library's headers and those of ${may}")
    endif()
  endforeach()
endforeach()
