# What bytes may be: the types of blocks (src/core/block), the storage formats (src/format/codec) and the
# grids that inputs are rounded to (src/format/input_grid), each found by its file's name.

# karat_formats(<target of src/core> <target of src/format>)
function(karat_formats core format)
  karat_registry(${core} FOLDER core/block TABLE block_table HEADER core/block.h
                 TYPE "const BlockType&" ARGUMENTS "" SUFFIX _block)
  # What blocks decode to is the same to the last bit everywhere: no product may be fused with a sum.
  file(GLOB types CONFIGURE_DEPENDS ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../src/core/block/*.cpp)
  set_source_files_properties(${types} PROPERTIES
    COMPILE_OPTIONS -ffp-contract=off SKIP_UNITY_BUILD_INCLUSION ON)
  karat_registry(${format} FOLDER format/codec TABLE codec_table HEADER format/codec.h
                 TYPE "const Codec&" ARGUMENTS "" SUFFIX _codec)
  karat_registry(${format} FOLDER format/input_grid TABLE input_grid_table HEADER format/input_grid.h
                 TYPE "const InputGrid&" ARGUMENTS "" SUFFIX _inputs)
endfunction()
