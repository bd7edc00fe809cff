# `cmake --install`: headers, the command, and a package:
#   find_package(karat)                       karat::karat_run, without LibTorch
#   find_package(karat COMPONENTS quantize)   karat::karat too, which needs LibTorch

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/karat)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/karat DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS karat_run EXPORT karat_run_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT karat_run_targets NAMESPACE karat:: DESTINATION ${package_dir})
install(TARGETS karat_sentencepiece LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/karat)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/tasks DESTINATION ${CMAKE_INSTALL_DATADIR}/karat)
install(TARGETS karat_tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(KARAT_TORCH)
  install(TARGETS karat EXPORT karat_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT karat_targets NAMESPACE karat:: DESTINATION ${package_dir})
  install(TARGETS karat_torch_tool RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/karat)
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/karat-config.cmake.in
  ${PROJECT_BINARY_DIR}/karat-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/karat-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/karat-config.cmake
              ${PROJECT_BINARY_DIR}/karat-config-version.cmake DESTINATION ${package_dir})
