# The command. `karat` holds the verbs that only run models and does not link LibTorch, so it starts
# in milliseconds; it executes `karat-torch`, which lies beside it, for the others.

find_package(CLI11 REQUIRED)

# CLI11 is all templates: at -O1 they compile in half the time, and nothing here runs for long.
set(karat_cli_options ${karat_warnings} $<$<CONFIG:Release>:-O1>)
add_library(karat_cli STATIC ${PROJECT_SOURCE_DIR}/src/cli/common.cpp)
target_include_directories(karat_cli PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
target_compile_options(karat_cli PRIVATE ${karat_cli_options})
target_link_libraries(karat_cli PUBLIC CLI11::CLI11 fmt::fmt nlohmann_json::nlohmann_json)

# karat_verbs(<target> <folder under src/cli> <library>): a program of the verbs in one folder. Parts
# of a verb that outgrew its file are in a folder of the verb's name.
function(karat_verbs target folder library)
  file(GLOB verbs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cli/${folder}/*.cpp
                                    ${PROJECT_SOURCE_DIR}/src/cli/${folder}/*/*.cpp)
  add_executable(${target} ${PROJECT_SOURCE_DIR}/src/cli/main_${folder}.cpp
                           ${verbs})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(${target} PRIVATE ${karat_cli_options})
  target_link_libraries(${target} PRIVATE karat_cli ${library})
  karat_registry(${target} FOLDER cli/${folder} TABLE ${folder}_verb_table HEADER cli/common.h
                 TYPE Action ARGUMENTS "CLI::App&" SUFFIX _verb)
  karat_unity(${target})
endfunction()

# `karat --help` lists the verbs of karat-torch too: a verb's summary is its file's first comment,
# "// karat <verb>: <summary>".
function(karat_helper_summaries output)
  file(GLOB verbs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cli/torch/*.cpp)
  set(entries "")
  foreach(verb IN LISTS verbs)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${verb})
    file(STRINGS ${verb} first LIMIT_COUNT 1)
    string(REGEX REPLACE "^// karat ([a-z-]+): (.*)$" "    {\"\\1\", \"\\2\"}," entry "${first}")
    string(APPEND entries "${entry}\n")
  endforeach()
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT [[
// Written by cmake/tool.cmake from the first lines of src/cli/torch/*.cpp.
#include "cli/common.h"

namespace karat {
const std::map<std::string, std::string>& helper_verbs() {
  static const std::map<std::string, std::string> table = {
@entries@  };
  return table;
}
}  // namespace karat
]])
endfunction()

karat_verbs(karat_tool run karat_run)
set_target_properties(karat_tool PROPERTIES OUTPUT_NAME karat)
karat_pch(karat_tool run)
karat_helper_summaries(${PROJECT_BINARY_DIR}/registry/helper_verbs.cpp)
target_sources(karat_tool PRIVATE ${PROJECT_BINARY_DIR}/registry/helper_verbs.cpp)
if(KARAT_TORCH)
  karat_verbs(karat_torch_tool torch karat)
  set_target_properties(karat_torch_tool PROPERTIES OUTPUT_NAME karat-torch)
  karat_pch(karat_torch_tool torch)
  # Not of the command: the host of methods whose papers are about images.
  add_executable(karat_vision ${PROJECT_SOURCE_DIR}/examples/vision/main.cpp)
  target_include_directories(karat_vision PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(karat_vision PRIVATE ${karat_cli_options})
  target_link_libraries(karat_vision PRIVATE layer_vision CLI11::CLI11)
endif()
