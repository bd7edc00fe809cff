// The public face of an opened model; the parts are found in weights.cpp.
#include "karat/language_model.h"

#include <cmath>

#include "karat/error.h"
#include "kernel/kernel.h"
#include "run/weights.h"

namespace karat {

LanguageModel LanguageModel::open(const std::filesystem::path& folder) {
  return LanguageModel(std::make_shared<const Impl>(open_weights(folder)));
}

const std::filesystem::path& LanguageModel::folder() const {
  return impl_->folder;
}
const Architecture& LanguageModel::architecture() const {
  return impl_->arch;
}
const Safetensors& LanguageModel::files() const {
  return impl_->files;
}
const std::optional<QuantizationConfig>& LanguageModel::quantization() const {
  return impl_->quantization;
}
std::size_t LanguageModel::bytes_per_token() const {
  return impl_->bytes_per_token;
}

void LanguageModel::logits(std::span<const float> hidden, std::span<float> logits) const {
  const auto width = static_cast<std::size_t>(impl_->arch.hidden);
  const auto vocab = static_cast<std::size_t>(impl_->arch.vocab);
  const std::size_t rows = hidden.size() / width;
  if (hidden.size() % width != 0 || logits.size() != rows * vocab)
    fail("logits",
         std::to_string(logits.size()) + " places for " + std::to_string(hidden.size()) +
             " state values",
         std::to_string(vocab) + " places for each " + std::to_string(width) + " values");
  matmul(impl_->head, hidden.data(), static_cast<std::int64_t>(rows), logits.data());
  if (impl_->arch.logit_scale != 1)
    for (float& logit : logits) logit *= impl_->arch.logit_scale;
  float sum = 0;  // x − x is 0 for a finite x and NaN for any other
  for (const float logit : logits) sum += logit - logit;
  if (sum != 0 || std::isnan(sum))
    fail("model " + impl_->folder.string(), "a logit that is NaN or infinite", "finite numbers",
         "the weights are damaged or overflow; karat inspect --tensors shows them");
}

}  // namespace karat
