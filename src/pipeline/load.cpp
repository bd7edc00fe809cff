// load: a model folder that may be quantized.
#include <atomic>
#include <cmath>
#include <cstring>

#include "core/threads.h"
#include "karat/error.h"
#include "load/model_files.h"
#include "pipeline/steps.h"

namespace karat {
namespace {

/// Whether any element has all its exponent bits set, that is, is NaN or infinite.
template <class Word>
bool has_non_finite(const TensorView& view, Word exponent) {
  std::atomic<bool> found = false;
  parallel_for(view.numel(), 1 << 20, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end && !found; ++i) {
      Word bits;
      std::memcpy(&bits, view.data + static_cast<std::size_t>(i) * sizeof bits, sizeof bits);
      if ((bits & exponent) == exponent) found = true;
    }
  });
  return found;
}

/// Of blocks only what they decode to tells.
bool has_non_finite_blocks(const TensorView& view) {
  std::atomic<bool> found = false;
  parallel_for(view.shape[0], 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end && !found; ++row)
      for (const float weight : to_floats(rows_of(view, row, 1)))
        if (!std::isfinite(weight)) found = true;
  });
  return found;
}

void check_finite(const TensorView& view) {
  const bool bad = view.dtype == DType::f32   ? has_non_finite<std::uint32_t>(view, 0x7f800000u)
                   : view.dtype == DType::f16 ? has_non_finite<std::uint16_t>(view, 0x7c00u)
                   : view.dtype == DType::bf16
                       ? has_non_finite<std::uint16_t>(view, 0x7f80u)
                       : view.dtype == DType::block && has_non_finite_blocks(view);
  if (bad)
    fail("load " + view.name, "NaN or infinite values", "finite weights",
         "the checkpoint is damaged");
}

}  // namespace

std::string Source::name() const {
  const std::filesystem::path path = std::filesystem::weakly_canonical(folder);
  return path.filename().string();
}

Source load(const std::filesystem::path& folder) {
  Source source{folder, read_architecture(folder), {}};
  if (parse_quantization(config_text(folder)))
    fail("load " + folder.string(), "a quantized model", "an original one",
         "quantize the folder it was made from");
  source.files = Safetensors::open_folder(folder);
  match_weights(source.arch, source.files);
  return source;
}

void check_finite(const Source& model) {
  for (const NamedShape& read : tensor_shapes(model.arch)) check_finite(model.files.get(read.name));
}

}  // namespace karat
