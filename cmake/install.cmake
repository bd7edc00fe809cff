# `cmake --install`: headers, the two libraries, the command, and a find_package(karat) config.
include(CMakePackageConfigHelpers)
