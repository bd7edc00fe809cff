# Kernel files of one instruction set get its flags; src/kernel/cpu/x86.cpp asks the CPU before any of
# them is called. On other processors the files compile to a set that is never usable.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  file(GLOB avx2_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/kernel/cpu/avx2_*.cpp)
  set_source_files_properties(${avx2_sources} PROPERTIES
    COMPILE_OPTIONS "-mavx2;-mfma;-mf16c" SKIP_PRECOMPILE_HEADERS ON)
endif()
