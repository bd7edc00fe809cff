# A layer is a folder under src/: one static library of its sources, one test program of its
# *_test.cpp files. Who may know whom is checked on the includes, by tools/size.py.

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
set(karat_warnings -Wall -Wextra -Wpedantic)

# karat_layer(<name> [EXCEPT <folder>] [KNOWS <layer>...] [LINKS <external library>...] [TORCH] [LIGHT] [APART])
# LIGHT: it directs others and has no loop that lasts; -O1 compiles it, and tests, in two thirds of the time.
# APART: its files give their functions the same names and are compiled one by one.
function(karat_layer name)
  cmake_parse_arguments(ARG "TORCH;LIGHT;APART" "EXCEPT" "KNOWS;LINKS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  if(ARG_EXCEPT)
    list(FILTER sources EXCLUDE REGEX "/src/${ARG_EXCEPT}/")
  endif()
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")

  set(target layer_${name})
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(${target} PRIVATE ${karat_warnings})
  list(TRANSFORM ARG_KNOWS PREPEND layer_ OUTPUT_VARIABLE known)
  target_link_libraries(${target} PUBLIC ${known} ${ARG_LINKS} fmt::fmt nlohmann_json::nlohmann_json
                                         Threads::Threads)
  set(kind run)
  if(ARG_TORCH)
    set(kind torch)
    target_link_libraries(${target} PUBLIC karat_torch)
  endif()
  karat_pch(${target} ${kind})
  if(NOT ARG_APART)
    karat_unity(${target})
  endif()
  if(ARG_LIGHT)
    target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  endif()

  if(KARAT_TESTS AND tests)
    if(NOT TARGET karat_test_main)
      add_library(karat_test_main OBJECT ${PROJECT_SOURCE_DIR}/tests/main.cpp)
      target_include_directories(karat_test_main PRIVATE ${PROJECT_SOURCE_DIR})
      target_compile_definitions(karat_test_main PRIVATE KARAT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    endif()
    add_executable(test_${name} ${tests} $<TARGET_OBJECTS:karat_test_main>)
    target_link_libraries(test_${name} PRIVATE ${target})
    target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR})
    target_compile_options(test_${name} PRIVATE ${karat_warnings} $<$<CONFIG:Release>:-O1>)
    target_compile_definitions(test_${name} PRIVATE
      KARAT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    karat_pch(test_${name} ${kind})
    karat_unity(test_${name})
    karat_layer_tests(${name} "${tests}")
  endif()
endfunction()

# karat_layer_tests(<layer> <test sources>): one entry of ctest, and one more for the tests that need
# what is not in the repository (tests/shared.h), which may be skipped.
function(karat_layer_tests name sources)
  set(shared FALSE)
  foreach(source IN LISTS sources)
    file(STRINGS ${source} found REGEX "test_suite\\(\"shared\"\\)")
    if(found)
      set(shared TRUE)
    endif()
  endforeach()
  add_test(NAME ${name} COMMAND test_${name} --test-suite-exclude=shared WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS unit)
  if(shared)
    add_test(NAME ${name}_needs_shared COMMAND test_${name} --test-suite=shared WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name}_needs_shared PROPERTIES LABELS unit SKIP_RETURN_CODE 77)
  endif()
endfunction()

# karat_unity(<target>): compiles sources several at a time, since each one alone would
# instantiate the templates of LibTorch, nlohmann-json or CLI11 again, which takes longer than all that
# is ours.
function(karat_unity target)
  if(KARAT_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 10)
    # What a source includes GCC takes for a header, whose types should not hold unnamed ones.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

# karat_pch(<target> run|torch): the headers that take longest to parse, parsed once for all targets:
# those of nlohmann-json and fmt and, with `torch`, of LibTorch, which outweigh everything of ours.
function(karat_pch target kind)
  set(pch karat_pch_${kind})
  if(NOT TARGET ${pch})
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/${pch}.cpp CONTENT "")  # written once
    add_library(${pch} STATIC ${PROJECT_BINARY_DIR}/${pch}.cpp)
    target_link_libraries(${pch} PUBLIC fmt::fmt nlohmann_json::nlohmann_json)
    target_include_directories(${pch} PUBLIC ${PROJECT_SOURCE_DIR}/include)
    target_compile_options(${pch} PRIVATE ${karat_warnings})  # GCC wants the users' flags
    target_precompile_headers(${pch} PRIVATE <fmt/format.h> <nlohmann/json.hpp>)
    if(kind STREQUAL torch)
      target_link_libraries(${pch} PUBLIC karat_torch)
      target_precompile_headers(${pch} PRIVATE ${PROJECT_SOURCE_DIR}/include/karat/torch.h)
    endif()
  endif()
  target_precompile_headers(${target} REUSE_FROM ${pch})
  get_target_property(type ${target} TYPE)
  if(type STREQUAL EXECUTABLE)  # GCC refuses a header compiled with -fPIC where -fPIE is in force
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
endfunction()

if(KARAT_TORCH)
  if(EXISTS "${Torch_DIR}/../Caffe2")  # half of the package, which it would look for in /usr first
    set(Caffe2_DIR "${Torch_DIR}/../Caffe2")
  endif()
  find_package(Torch REQUIRED)
  add_library(karat_torch INTERFACE)
  target_link_libraries(karat_torch INTERFACE ${TORCH_LIBRARIES})
  target_include_directories(karat_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  separate_arguments(torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
  target_compile_options(karat_torch INTERFACE ${torch_flags})
  # PyTorch's wheels carry headers of a newer fmt than the library here: they are used without one.
  find_path(fmt_headers fmt/format.h)
  find_path(torch_fmt_headers fmt/format.h PATHS ${TORCH_INCLUDE_DIRS} NO_DEFAULT_PATH)
  if(torch_fmt_headers AND NOT torch_fmt_headers STREQUAL fmt_headers)
    target_compile_definitions(karat_torch INTERFACE FMT_HEADER_ONLY)
  endif()
endif()
