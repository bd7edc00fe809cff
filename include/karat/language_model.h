// A language model that runs from its folder, without LibTorch: original Hugging Face folders, GGUF
// files and Karat folders alike, every family through the same code. Weights stay mapped in their
// own type.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "karat/architecture.h"
#include "karat/packed.h"
#include "karat/safetensors.h"
#include "karat/tokenizer.h"

namespace karat {

/// An opened model; a cheap handle whose copies share the mapping.
class LanguageModel {
 public:
  /// Reads config.json, or a GGUF file, and maps the weights. Throws Error naming what is missing
  /// or wrong.
  static LanguageModel open(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const;
  const Architecture& architecture() const;
  const Safetensors& files() const;
  const std::optional<QuantizationConfig>& quantization() const;  // nothing: an original folder
  /// Bytes of weights that decoding one token reads: every layer, the norms, the head, and one row
  /// of the embedding.
  std::size_t bytes_per_token() const;
  /// Weights of the matrices that a token is multiplied with.
  std::int64_t weights_per_token() const;

  struct Impl;

 private:
  friend class Engine;
  explicit LanguageModel(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace karat
