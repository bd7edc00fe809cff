// The public face of an opened model; the parts are found in weights.cpp.
#include "karat/language_model.h"

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
std::int64_t LanguageModel::weights_per_token() const {
  return impl_->weights_per_token;
}

}  // namespace karat
