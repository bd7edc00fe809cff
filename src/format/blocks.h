// Matrices of a GGUF type (core/block.h) as packed ones, so that the runtime multiplies with them
// as they lie in the file. No folder of Karat's has them: their codec is in no table.
#pragma once

#include "format/codec.h"

namespace karat {

const Codec& blocks_codec();

/// A matrix [out, in] of DType::block; its only part is its blocks.
PackedView blocks_view(const TensorView& matrix);

}  // namespace karat
