# cmake -D CXX=g++ -D INCLUDE_DIRS=include -D SOURCE=everything.cpp -P check_includes.cmake
#
# Fails if the core includes what is for threads or for streams of the whole program.
cmake_policy(VERSION 3.22)

list(TRANSFORM INCLUDE_DIRS PREPEND -I)
execute_process(COMMAND ${CXX} -std=c++20 -M ${INCLUDE_DIRS} ${SOURCE}
  OUTPUT_VARIABLE headers COMMAND_ERROR_IS_FATAL ANY)
if(NOT headers MATCHES "mirnet/mirnet\\.hpp")
  message(FATAL_ERROR "these are not the headers of the core:\n${headers}")
endif()
string(REGEX MATCHALL "/(thread|mutex|shared_mutex|condition_variable|future|iostream|fstream)[ \n]"
  found "${headers}")
if(found)
  message(FATAL_ERROR "mirnet.hpp includes ${found}")
endif()
