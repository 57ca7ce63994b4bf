# Compiles code once for each of the instruction sets that a program carries. find_package(mirnet), add_subdirectory and
# FetchContent define
#
#   mirnet_add_kernels(TARGET [SET...])
#   mirnet_add_kernels(TARGET [SETS SET...] SOURCES FILE...)
#
# The first links TARGET, a program or a library that links mirnet::mirnet, with the library's kernels for each of the
# sets, among which <mirnet/dispatch/kernel_sets.hpp> chooses at run time. It compiles dispatch/kernels.cpp once per set
# and build, and defines MIRNET_HAS_<SET>=1 for the sources of TARGET and, if TARGET is a static library, for the
# targets that link it: each program has its own list. The second does the same with sources of your own, which see the
# name of the set as MIRNET_ISA, and defines MIRNET_SOURCES_<SET>=1 for <mirnet/dispatch/choose.hpp>. Everything that
# such a source defines or instantiates is static or in a namespace MIRNET_ISA, so it cannot use containers. It has
# TARGET's include directories.
#
# SET is sse2, avx2, avx512 or avx512bf16, in upper or lower case; without any, all that the compiler knows. (avx512bf16
# adds avx512, whose float kernels it shares.) On architectures other than x86 the compiler's own flags decide: there is
# one object, whatever SET is, and the definition ends in NATIVE. Include sse2 in the list: it runs on any x86-64
# machine.
#
#   mirnet_test_kernels(TARGET)
#
# adds a CTest test for each set, which fails if an object defines a symbol that does not name the set.
#
# Objects for different instruction sets share a program only if they share no function: the linker would keep one copy,
# and code for any machine could end up calling one that the machine cannot run. So names carry the instruction set (the
# library's inline namespace, xsimd's renamed namespace), everything else is inlined in every build type, nothing is
# optimised across objects, and mirnet_test_kernels checks the result.

include(CheckCXXSourceCompiles)
include(CheckCXXSourceRuns)

# Sets variables of the caller that depend on the compiler and the machine: the functions here are called from any
# folder.
macro(mirnet_kernels_settings)
  check_cxx_source_compiles("
#if !defined(__x86_64__) && !defined(__i386__)
#error another architecture
#endif
int main() {}" MIRNET_TARGET_IS_X86)
  check_cxx_source_compiles("
#if !defined(__x86_64__)
#error another architecture
#endif
int main() {}" MIRNET_TARGET_IS_X86_64)

  # The flags that config.hpp requires for each name, and no more. -march comes first, to undo the user's flags
  # (-march=native, say).
  set(MIRNET_ISA_FLAGS_sse2 -msse2)
  set(MIRNET_ISA_FLAGS_avx2 -mavx2 -mfma)
  set(MIRNET_ISA_FLAGS_avx512 -mavx512f -mavx512cd -mavx512bw -mavx512dq -mavx512vl -mfma)
  # The instructions add nothing for float.
  set(MIRNET_ISA_FLAGS_avx512bf16 ${MIRNET_ISA_FLAGS_avx512} -mavx512bf16)
  set(MIRNET_ISA_KERNELS_avx512bf16 MIRNET_ONLY_BFLOAT16)
  # Computes what avx512bf16 does, for tests on machines without it.
  set(MIRNET_ISA_FLAGS_emulated -msse2)
  set(MIRNET_ISA_DEFINITIONS_emulated MIRNET_EMULATE_PAIR_PRODUCTS=1)
  set(MIRNET_ISA_KERNELS_emulated MIRNET_ONLY_BFLOAT16)
  if(MIRNET_TARGET_IS_X86_64)
    set(MIRNET_ISA_FLAGS_baseline -march=x86-64)
  else()
    set(MIRNET_ISA_FLAGS_baseline -mfpmath=sse)
  endif()

  # A project may say another one, as the tests do that nobody waits for.
  if(NOT DEFINED CACHE{MIRNET_KERNELS_OPTIMISATION})
    set(MIRNET_KERNELS_OPTIMISATION -O3)
  endif()
  # Sanitized, GCC 12 takes minutes for the kernels at -O3, and a minute for each set that this machine cannot run anyway.
  set(MIRNET_LEFT_OUT "")
  if(NOT MIRNET_TARGET_IS_X86_64)
    set(MIRNET_LEFT_OUT "^avx")  # processors with AVX run 64-bit programs
  elseif(MINGW AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC for Windows spills registers of 32 and 64 bytes to a stack that is aligned to 16, with instructions that want
    # 32 and 64 (GCC bug 54412). Assemblers from Binutils 2.38 on replace these by others that take any address.
    set(CMAKE_REQUIRED_FLAGS -Wa,-muse-unaligned-vector-move)
    check_cxx_source_compiles("int main() {}" MIRNET_HAS_UNALIGNED_VECTOR_MOVES)
    unset(CMAKE_REQUIRED_FLAGS)
    if(MIRNET_HAS_UNALIGNED_VECTOR_MOVES)
      foreach(isa IN ITEMS avx2 avx512 avx512bf16)
        list(APPEND MIRNET_ISA_FLAGS_${isa} -Wa,-muse-unaligned-vector-move)
      endforeach()
    else()
      set(MIRNET_LEFT_OUT "^avx")
    endif()
  endif()
  if(MIRNET_SANITIZE)
    set(MIRNET_KERNELS_OPTIMISATION -O1)
    if(MIRNET_TARGET_IS_X86)
      foreach(feature IN ITEMS avx512f avx512bf16)
        check_cxx_source_runs("int main() { return __builtin_cpu_supports(\"${feature}\") ? 0 : 1; }"
          MIRNET_HOST_HAS_${feature})
      endforeach()
      if(NOT MIRNET_HOST_HAS_avx512f)
        set(MIRNET_LEFT_OUT "^avx512")
      elseif(MIRNET_HOST_HAS_avx512bf16)
        set(MIRNET_LEFT_OUT "^emulated")
      endif()
    endif()
  endif()
endmacro()

# Stores in the variable `result` those of the named sets for which kernels are compiled.
function(mirnet_sets_to_build result target)
  mirnet_kernels_settings()
  get_target_property(definitions mirnet::mirnet INTERFACE_COMPILE_DEFINITIONS)
  if(NOT MIRNET_TARGET_IS_X86 OR "${definitions}" MATCHES "MIRNET_NO_SIMD=1")
    set(${result} native PARENT_SCOPE)
    return()
  endif()
  string(TOLOWER "${ARGN}" named)
  set(known sse2 avx2 avx512 avx512bf16)
  foreach(isa IN LISTS named)
    if(NOT DEFINED MIRNET_ISA_FLAGS_${isa} OR isa STREQUAL "baseline")
      list(JOIN known ", " known)
      message(FATAL_ERROR "mirnet_add_kernels(${target}): no instruction set is called ${isa}; there are: ${known}")
    endif()
  endforeach()
  if(NOT named)
    foreach(isa IN LISTS known)
      list(JOIN MIRNET_ISA_FLAGS_${isa} " " CMAKE_REQUIRED_FLAGS)
      check_cxx_source_compiles("int main() {}" MIRNET_COMPILER_HAS_${isa})
      if(MIRNET_COMPILER_HAS_${isa})
        list(APPEND named ${isa})
      endif()
    endforeach()
  endif()
  list(REMOVE_DUPLICATES named)
  set(built ${named})
  if(MIRNET_LEFT_OUT)
    list(FILTER built EXCLUDE REGEX "${MIRNET_LEFT_OUT}")
  endif()
  if(NOT built)
    list(JOIN named ", " named)
    message(FATAL_ERROR "mirnet_add_kernels(${target}): nothing is compiled for ${named} here; name sse2, too")
  endif()
  set(${result} ${built} PARENT_SCOPE)
endfunction()

# Adds an object library of the remaining arguments, compiled with the flags of one instruction set.
function(mirnet_add_isa_object name isa)
  mirnet_kernels_settings()
  add_library(${name} OBJECT ${ARGN})
  target_link_libraries(${name} PRIVATE mirnet::mirnet)
  if(TARGET mirnet_warnings)
    target_link_libraries(${name} PRIVATE mirnet_warnings)
  endif()
  set(flags)
  if(NOT isa STREQUAL "native")
    set(flags ${MIRNET_ISA_FLAGS_baseline} ${MIRNET_ISA_FLAGS_${isa}})
  endif()
  target_compile_options(${name} PRIVATE
    ${MIRNET_KERNELS_OPTIMISATION} -fno-lto -fno-exceptions -ffp-contract=off ${flags})
  # The sets differ in what they read and write, not in their integers: undefined behaviour is looked for in one of them,
  # as that takes half of the compiler's time.
  if(MIRNET_SANITIZE MATCHES "undefined" AND isa MATCHES "^(avx|emulated)")
    target_compile_options(${name} PRIVATE -fno-sanitize=undefined)
  endif()
  target_compile_definitions(${name} PRIVATE xsimd=mirnet_xsimd_${isa} ${MIRNET_ISA_DEFINITIONS_${isa}})
  # A precompiled header or a unity build would bring in other code, and interprocedural optimisation could compile the
  # object's code for another set.
  set_target_properties(${name} PROPERTIES UNITY_BUILD OFF INTERPROCEDURAL_OPTIMIZATION OFF
    DISABLE_PRECOMPILE_HEADERS ON)
endfunction()

# The path in the source tree; mirnetConfig.cmake sets the installed one.
set_property(GLOBAL PROPERTY MIRNET_KERNELS_SOURCE
  "${CMAKE_CURRENT_LIST_DIR}/../include/mirnet/dispatch/kernels.cpp")
set_property(GLOBAL PROPERTY MIRNET_CHECK_SYMBOLS "${CMAKE_CURRENT_LIST_DIR}/mirnet_check_symbols.cmake")

# Adds mirnet_kernels_<isa>, the object library of the library's kernels, if it does not exist yet.
function(mirnet_add_kernels_object isa)
  if(TARGET mirnet_kernels_${isa})
    return()
  endif()
  mirnet_kernels_settings()
  get_property(source GLOBAL PROPERTY MIRNET_KERNELS_SOURCE)
  mirnet_add_isa_object(mirnet_kernels_${isa} ${isa} ${source})
  target_compile_definitions(mirnet_kernels_${isa} PRIVATE ${MIRNET_ISA_KERNELS_${isa}})
  set_property(GLOBAL APPEND PROPERTY MIRNET_ISA_OBJECTS ${isa})
endfunction()

function(mirnet_add_kernels target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SETS;SOURCES")
  if(NOT TARGET ${target})
    message(FATAL_ERROR "mirnet_add_kernels(${target}): there is no such target")
  endif()
  get_target_property(type ${target} TYPE)
  if(NOT type MATCHES "^(EXECUTABLE|(STATIC|SHARED|MODULE)_LIBRARY)$")
    message(FATAL_ERROR
      "mirnet_add_kernels(${target}): the target is of the type ${type}; expected a program, or a static, shared or module library")
  endif()
  if("SOURCES" IN_LIST arg_KEYWORDS_MISSING_VALUES)
    message(FATAL_ERROR "mirnet_add_kernels(${target}): no source follows SOURCES")
  endif()
  # What a static library has, the targets that link it have, too.
  set(scope PRIVATE)
  if(type STREQUAL "STATIC_LIBRARY")
    set(scope PUBLIC)
  endif()

  mirnet_sets_to_build(sets ${target} ${arg_UNPARSED_ARGUMENTS} ${arg_SETS})
  if(DEFINED arg_SOURCES)
    # All of a target's sources are compiled for the same sets, which MIRNET_EACH_SET lists.
    get_target_property(before ${target} MIRNET_SETS_OF_SOURCES)
    list(SORT sets)
    if(before AND NOT before STREQUAL sets)
      message(FATAL_ERROR
        "mirnet_add_kernels(${target}): its sources are compiled for ${before} already, which ${sets} is not")
    endif()
    set_target_properties(${target} PROPERTIES MIRNET_SETS_OF_SOURCES "${sets}")
  elseif("avx512bf16" IN_LIST sets AND NOT "avx512" IN_LIST sets)
    list(APPEND sets avx512)
  endif()
  get_target_property(pic ${target} POSITION_INDEPENDENT_CODE)
  foreach(isa IN LISTS sets)
    string(TOUPPER ${isa} upper)
    if(DEFINED arg_SOURCES)
      set(name mirnet_sources_${target}_${isa})
      if(TARGET ${name})
        target_sources(${name} PRIVATE ${arg_SOURCES})
      else()
        mirnet_add_isa_object(${name} ${isa} ${arg_SOURCES})
        target_include_directories(${name} PRIVATE $<TARGET_PROPERTY:${target},INCLUDE_DIRECTORIES>)
        target_compile_definitions(${name} PRIVATE $<TARGET_PROPERTY:${target},COMPILE_DEFINITIONS>)
        target_sources(${target} PRIVATE $<TARGET_OBJECTS:${name}>)
        target_compile_definitions(${target} ${scope} MIRNET_SOURCES_${upper}=1)
      endif()
    else()
      set(name mirnet_kernels_${isa})
      mirnet_add_kernels_object(${isa})
      target_sources(${target} PRIVATE $<TARGET_OBJECTS:${name}>)
      target_compile_definitions(${target} ${scope} MIRNET_HAS_${upper}=1)
    endif()
    set_property(TARGET ${target} APPEND PROPERTY MIRNET_OBJECTS "${name}")
    if(pic OR type MATCHES "^(SHARED|MODULE)")
      set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    endif()
  endforeach()
endfunction()

function(mirnet_test_kernels target)
  get_property(script GLOBAL PROPERTY MIRNET_CHECK_SYMBOLS)
  get_target_property(objects ${target} MIRNET_OBJECTS)
  if(NOT objects)
    message(FATAL_ERROR "mirnet_test_kernels(${target}): mirnet_add_kernels has added nothing to it")
  endif()
  list(REMOVE_DUPLICATES objects)
  foreach(name IN LISTS objects)
    string(REGEX MATCH "[a-z0-9]+$" isa ${name})
    if(isa STREQUAL "native" OR TEST isa_symbols.${name})
      continue()  # what there is once need not name its set
    endif()
    add_test(NAME isa_symbols.${name} COMMAND ${CMAKE_COMMAND}
      -D NM=${CMAKE_NM} -D ISA=${isa} -D "OBJECTS=$<TARGET_OBJECTS:${name}>" -P ${script})
    set_tests_properties(isa_symbols.${name} PROPERTIES LABELS sources)
  endforeach()
endfunction()
