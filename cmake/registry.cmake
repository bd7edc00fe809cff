# Discovery by file name: src/<folder>/<name>.cpp defines `<type> <name with - as _><suffix>(<arguments>)`.
# karat_registry writes the table of them, so adding a family, a method or a verb edits no list.

# karat_registry(<layer target> FOLDER <under src/> TABLE <function> HEADER <header of type>
#                TYPE <return type> [ARGUMENTS <parameter types>] [SUFFIX <suffix>])
# defines   const std::map<std::string, TYPE (*)(ARGUMENTS)>& karat::TABLE();
function(karat_registry target)
  cmake_parse_arguments(ARG "" "FOLDER;TABLE;HEADER;TYPE;ARGUMENTS;SUFFIX" "" ${ARGN})
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../src/${ARG_FOLDER}/*.cpp)
  list(FILTER files EXCLUDE REGEX "_test\\.cpp$")
  set(declarations "")
  set(entries "")
  foreach(file IN LISTS files)
    get_filename_component(name ${file} NAME_WE)
    string(REPLACE "-" "_" function "${name}${ARG_SUFFIX}")
    string(APPEND declarations "${ARG_TYPE} ${function}(${ARG_ARGUMENTS});\n")
    string(APPEND entries "      {\"${name}\", ${function}},\n")
  endforeach()
  set(output ${PROJECT_BINARY_DIR}/registry/${ARG_TABLE}.cpp)
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT [[
// Written by cmake/registry.cmake from the file names in src/@ARG_FOLDER@.
#include <map>
#include <string>

#include "@ARG_HEADER@"

namespace karat {
@declarations@
const std::map<std::string, @ARG_TYPE@ (*)(@ARG_ARGUMENTS@)>& @ARG_TABLE@() {
  static const std::map<std::string, @ARG_TYPE@ (*)(@ARG_ARGUMENTS@)> table = {
@entries@  };
  return table;
}
}  // namespace karat
]])
  target_sources(${target} PRIVATE ${output})
endfunction()
