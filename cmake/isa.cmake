# The units of src/kernel/cpu/isa, compiled once for every set of kernels that has them; the CPU is
# asked before any of them is called (src/kernel/cpu/sets.cpp). A set is missing where the compiler
# does not know its flags.
include(CheckCXXCompilerFlag)

get_filename_component(kernel_sets ${CMAKE_CURRENT_LIST_DIR}/../src/kernel/cpu/sets.cpp ABSOLUTE)
get_filename_component(isa_sources ${CMAKE_CURRENT_LIST_DIR}/../src/kernel/cpu/isa ABSOLUTE)

# karat_isa(<set> UNITS <unit>... [FLAGS <flag>...] [FORMATS <folder>])
# FORMATS: a folder of units that define `const FormatKernels <file name>_kernels`; the set's table
# of them is <set>::format_kernels. A set that multiplies floats has one, empty without FORMATS.
function(karat_isa set)
  cmake_parse_arguments(ARG "" "FORMATS" "UNITS;FLAGS" ${ARGN})
  string(MAKE_C_IDENTIFIER ${set} space)
  string(REPLACE ";" " " flags "${ARG_FLAGS}")
  check_cxx_compiler_flag("${flags}" KARAT_COMPILES_${space})
  if(NOT KARAT_COMPILES_${space})
    return()
  endif()
  set(formats "")
  if(ARG_FORMATS)
    file(GLOB formats CONFIGURE_DEPENDS ${isa_sources}/${ARG_FORMATS}/*.cpp)
  endif()
  set(declarations "")
  set(entries "")
  foreach(format IN LISTS formats)
    get_filename_component(name ${format} NAME_WE)
    list(APPEND ARG_UNITS ${ARG_FORMATS}/${name})
    string(APPEND declarations "extern const FormatKernels ${name}_kernels;\n")
    string(APPEND entries "    {\"${name}\", &${name}_kernels},\n")
  endforeach()
  set(files "")
  foreach(unit IN LISTS ARG_UNITS)
    set(file ${PROJECT_BINARY_DIR}/isa/${set}/${unit}.cpp)
    file(CONFIGURE OUTPUT ${file} @ONLY CONTENT
      "#define KARAT_ISA @space@\n#include \"kernel/cpu/isa/@unit@.cpp\"\n")
    list(APPEND files ${file})
  endforeach()
  set_source_files_properties(${files} PROPERTIES
    COMPILE_OPTIONS "${ARG_FLAGS}" SKIP_PRECOMPILE_HEADERS ON)
  set(table ${PROJECT_BINARY_DIR}/isa/${set}/format_kernels.cpp)
  file(CONFIGURE OUTPUT ${table} @ONLY CONTENT [[
// Written by cmake/isa.cmake from the file names of the set's format kernels.
#include "kernel/kernel.h"

namespace karat::@space@ {
@declarations@
extern const NamedKernels format_kernels[];
const NamedKernels format_kernels[] = {
@entries@    {nullptr, nullptr}};
}  // namespace karat::@space@
]])
  target_sources(layer_kernel PRIVATE ${files} ${table})
  set_property(SOURCE ${kernel_sets} APPEND PROPERTY
    COMPILE_DEFINITIONS KARAT_HAS_${space})
endfunction()

set(float_units cells vector)
set(int8_units int8_input int8_one int8_many int8_columns int8_units_one int8_units_many)

# Sets whose units are int8_units alone take the other functions from the set above them.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  list(APPEND float_units x86_matmul x86_dense x86_many)
  set(avx2 -mavx2 -mfma -mf16c)
  set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)  # its own intrinsics of AVX-512 warn (GCC bug 105593)
    list(APPEND avx512 -Wno-maybe-uninitialized -Wno-uninitialized)
  endif()
  karat_isa(avx2 UNITS ${float_units} ${int8_units} FORMATS x86_format FLAGS ${avx2})
  karat_isa(avx-vnni UNITS ${int8_units} FLAGS ${avx2} -mavxvnni)
  karat_isa(avx512 UNITS ${float_units} ${int8_units} FORMATS x86_format FLAGS ${avx512})
  karat_isa(avx512-vnni UNITS ${int8_units} FLAGS ${avx512} -mavx512vnni)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  karat_isa(neon UNITS ${float_units} neon_matmul ${int8_units})
  karat_isa(neon-dotprod UNITS ${int8_units} FLAGS -march=armv8.2-a+dotprod)
endif()
