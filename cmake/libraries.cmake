# The layers of src/ and who may know whom (DESIGN.md §3), then the two libraries made of them.

find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
find_package(OpenSSL REQUIRED COMPONENTS Crypto SSL)
# Debian's is compiled, with OpenSSL: its classes are laid out for that.
find_path(HTTPLIB_HEADERS httplib.h REQUIRED)
find_library(HTTPLIB cpp-httplib REQUIRED)

karat_layer(core LINKS OpenSSL::Crypto)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/registry/version.cpp @ONLY CONTENT
  "#include \"karat/version.h\"\nstd::string_view karat::version() { return \"@PROJECT_VERSION@\"; }\n")
target_sources(layer_core PRIVATE ${PROJECT_BINARY_DIR}/registry/version.cpp)
karat_layer(load KNOWS core LINKS PkgConfig::PCRE2 PkgConfig::UTF8PROC ${CMAKE_DL_LIBS})
# Loaded at run time and kept apart: src/sentencepiece/model.h says why.
add_library(karat_sentencepiece MODULE ${PROJECT_SOURCE_DIR}/src/sentencepiece/module.cpp)
target_include_directories(karat_sentencepiece PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_compile_options(karat_sentencepiece PRIVATE ${karat_warnings})
target_link_libraries(karat_sentencepiece PRIVATE PkgConfig::SENTENCEPIECE)
add_dependencies(layer_load karat_sentencepiece)
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/load/sentencepiece_module.cpp PROPERTIES
  COMPILE_DEFINITIONS "KARAT_WITH_TORCH=$<BOOL:${KARAT_TORCH}>;KARAT_BUILT_MODULES=\"${PROJECT_BINARY_DIR}\";KARAT_INSTALLED_MODULES=\"${CMAKE_INSTALL_FULL_LIBDIR}/karat\"")
karat_layer(format APART KNOWS core)
karat_layer(kernel EXCEPT kernel/cpu/isa KNOWS core format)
include(cmake/isa.cmake)
karat_layer(run KNOWS load format kernel core)
karat_layer(evaluate KNOWS run load core)
karat_layer(report LIGHT KNOWS run load core)
karat_layer(task LIGHT KNOWS evaluate run load core LINKS PkgConfig::PCRE2 PkgConfig::UTF8PROC)
# Beside the program's prefix when installed, else in the sources: src/task/definition.cpp.
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/task/definition.cpp PROPERTIES
  COMPILE_DEFINITIONS "KARAT_TASKS_BELOW_PREFIX=\"${CMAKE_INSTALL_DATADIR}/karat/tasks\";KARAT_SOURCE_TASKS=\"${PROJECT_SOURCE_DIR}/tasks\";KARAT_INSTALLED_TASKS=\"${CMAKE_INSTALL_FULL_DATADIR}/karat/tasks\"")
karat_layer(chat LIGHT KNOWS load core)
karat_layer(scaling KNOWS load core)
karat_layer(serve LIGHT KNOWS run load core LINKS ${HTTPLIB} OpenSSL::SSL OpenSSL::Crypto)
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/serve/http.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON
  COMPILE_DEFINITIONS "CPPHTTPLIB_OPENSSL_SUPPORT;CPPHTTPLIB_ZLIB_SUPPORT;CPPHTTPLIB_BROTLI_SUPPORT")
set(run_layers core load format kernel run evaluate report task chat scaling serve)

karat_formats(layer_core layer_format)
karat_registry(layer_load FOLDER load/gguf/family TABLE gguf_family_table HEADER load/gguf/family.h
               TYPE GgufFamily ARGUMENTS "const GgufKeys&" SUFFIX _gguf)
karat_registry(layer_load FOLDER load/family TABLE family_table HEADER load/family.h
               TYPE Architecture ARGUMENTS "const ConfigReader&" SUFFIX _family)

set(torch_layers "")
if(KARAT_TORCH)
  set(axis_types Metric Selector Transform Grid Solver Tuner)  # src/pipeline/axes.h lists them too
  string(TOLOWER "${axis_types}" axes)
  # c10d's Gloo is in Debian's LibTorch, its headers in libgloo-dev; PyTorch's wheels have none, and another
  # version's would not fit them.
  find_path(gloo_headers gloo/context.h PATHS ${TORCH_INCLUDE_DIRS} NO_DEFAULT_PATH)
  set(ranks_left_out gloo)
  if(gloo_headers)
    set(ranks_left_out none)
  endif()
  karat_layer(ranks TORCH LIGHT EXCEPT ranks/${ranks_left_out} KNOWS core)
  karat_layer(model TORCH LIGHT KNOWS load core)
  karat_layer(calibrate TORCH LIGHT KNOWS model load core)
  karat_layer(recipe TORCH LIGHT KNOWS core)  # what the axes share: options, the Hessian's inverse
  set(tuner_knows model load)  # it holds the quantizers of training too
  foreach(axis IN LISTS axes)
    karat_layer(${axis} TORCH KNOWS ${${axis}_knows} recipe format core)
  endforeach()
  karat_layer(method TORCH LIGHT KNOWS ${axes} core)
  karat_layer(pipeline TORCH LIGHT KNOWS method ${axes} recipe calibrate model run load format core)
  karat_layer(compare TORCH LIGHT KNOWS pipeline selector recipe calibrate evaluate report run load format core)
  karat_layer(explain TORCH LIGHT KNOWS pipeline recipe core)
  karat_layer(train TORCH LIGHT KNOWS ranks tuner model recipe run load format core)
  karat_layer(vision TORCH KNOWS train tuner model load core)
  set(torch_layers ranks model calibrate recipe ${axes} method pipeline compare explain train)

  foreach(axis IN LISTS axis_types)
    string(TOLOWER ${axis} folder)
    karat_registry(layer_${folder} FOLDER ${folder} TABLE ${folder}_table HEADER karat/axes.h
                   TYPE ${axis} ARGUMENTS "Options&" SUFFIX _${folder})
  endforeach()
  karat_registry(layer_grid FOLDER grid/fit TABLE fit_table HEADER grid/affine/affine.h TYPE Fit
                 ARGUMENTS "Options&" SUFFIX _fit)
  # The AVX-512 twin of a step must not use FMA, which rounds otherwise than its other twins, nor must
  # what follows the steps back.
  set_source_files_properties(${PROJECT_SOURCE_DIR}/src/grid/shared/trellis_step.cpp
                              ${PROJECT_SOURCE_DIR}/src/grid/shared/trellis_search.cpp
                              ${PROJECT_SOURCE_DIR}/src/grid/column-trellis/column.cpp PROPERTIES
    COMPILE_OPTIONS -ffp-contract=off SKIP_UNITY_BUILD_INCLUSION ON SKIP_PRECOMPILE_HEADERS ON)
  # The twins of one source, each for its instruction set.
  file(GLOB column_steps CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/grid/column-trellis/step_*.cpp)
  set_source_files_properties(${column_steps} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON
                                                         SKIP_PRECOMPILE_HEADERS ON)
  karat_registry(layer_tuner FOLDER tuner/quantizer TABLE training_quantizer_table
                 HEADER tuner/shared/training_quantizer.h TYPE TrainingQuantizer ARGUMENTS "Options&" SUFFIX _training)
  karat_registry(layer_tuner FOLDER tuner/policy TABLE training_policy_table
                 HEADER tuner/shared/training_policy.h TYPE TrainingPolicy ARGUMENTS "Options&" SUFFIX _policy)
  karat_registry(layer_tuner FOLDER tuner/optimizer TABLE training_optimizer_table
                 HEADER tuner/shared/training_optimizer.h TYPE TrainingOptimizer ARGUMENTS "Options&" SUFFIX _optimizer)
  karat_registry(layer_method FOLDER method TABLE method_table HEADER karat/recipe.h
                 TYPE Recipe ARGUMENTS "" SUFFIX _method)
endif()

# karat_bundle(<library> <layer>...): one installable static library of several layers.
function(karat_bundle library)
  set(objects "")
  foreach(layer IN LISTS ARGN)
    list(APPEND objects $<TARGET_OBJECTS:layer_${layer}>)
  endforeach()
  add_library(${library} STATIC ${objects})
  set_target_properties(${library} PROPERTIES LINKER_LANGUAGE CXX)
  target_include_directories(${library} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                               $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${library} PUBLIC cxx_std_20)
endfunction()

karat_bundle(karat_run ${run_layers})
target_link_libraries(karat_run PUBLIC Threads::Threads
  PRIVATE fmt::fmt nlohmann_json::nlohmann_json OpenSSL::Crypto OpenSSL::SSL ${HTTPLIB}
          PkgConfig::PCRE2 PkgConfig::UTF8PROC ${CMAKE_DL_LIBS})
add_dependencies(karat_run karat_sentencepiece)
if(KARAT_TORCH)
  karat_bundle(karat ${torch_layers})
  target_link_libraries(karat PUBLIC karat_run $<BUILD_INTERFACE:karat_torch>
    $<INSTALL_INTERFACE:karat::karat_torch>)
endif()
