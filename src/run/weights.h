// What an opened model keeps: the architecture and, for each of its parts, where the weights lie.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <vector>

#include "karat/architecture.h"
#include "karat/language_model.h"
#include "karat/packed.h"
#include "karat/safetensors.h"
#include "kernel/matrix.h"

namespace karat {

struct LinearWeights {
  Matrix matrix;                   // [out, in]
  std::vector<std::byte> rotated;  // owns the matrix where the file stores it [in, out]
  std::vector<float> bias;         // [out] or empty
};

struct NormWeights {
  Norm::Kind kind = Norm::Kind::rms;
  std::int64_t size = 0;  // of a row
  float eps = 0;
  std::vector<float> weight, bias;  // of one row or of several in turn; bias: LayerNorm only
};

struct RouterWeights {
  std::int64_t out = 0, in = 0;
  std::vector<float> weight;  // [out, in]
};

using MlpWeights = MlpParts<NormWeights, LinearWeights, RouterWeights>;
using BlockWeights = BlockParts<NormWeights, LinearWeights, RouterWeights>;

struct LanguageModel::Impl {
  std::filesystem::path folder;
  Architecture arch;
  Safetensors files;
  std::optional<QuantizationConfig> quantization;
  Matrix embedding;                     // [vocab, hidden]
  std::optional<TensorView> positions;  // [position_offset + max_positions, hidden]
  std::vector<BlockWeights> blocks;
  NormWeights final_norm;
  std::optional<Matrix> own_head;   // [vocab, hidden]; tied: the embedding
  std::vector<float> head_bias;     // [vocab] or empty
  std::size_t bytes_per_token = 0;  // of weights
  std::int64_t weights_per_token = 0;

  const Matrix& head() const { return own_head ? *own_head : embedding; }
};

/// Maps the folder and finds every part. Throws Error naming what is missing or wrong.
LanguageModel::Impl open_weights(const std::filesystem::path& folder);

/// One row of a mapped [rows, columns] float matrix.
std::vector<float> row_floats(const TensorView& matrix, std::int64_t row);
/// One row of a matrix [out, in], dense or packed, which is read alone. Not of a rotated one, whose
/// rows are mixed with all others.
std::vector<float> row_floats(const MatrixView& matrix, std::int64_t row);

}  // namespace karat
