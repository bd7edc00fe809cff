// A language model that runs from its folder, without LibTorch: original Hugging Face folders and
// Karat folders alike, every family through the same code. Weights stay mapped in their own type.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "karat/architecture.h"
#include "karat/packed.h"
#include "karat/safetensors.h"
#include "karat/tokenizer.h"

namespace karat {

/// An opened model; a cheap handle whose copies share the mapping.
class LanguageModel {
 public:
  /// Reads config.json and maps the weights. Throws Error naming what is missing or wrong.
  static LanguageModel open(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const;
  const Architecture& architecture() const;
  const Safetensors& files() const;
  const std::optional<QuantizationConfig>& quantization() const;  // nothing: an original folder
  /// Bytes of weights that decoding one token reads: every layer, the norms, the head, and one row
  /// of the embedding.
  std::size_t bytes_per_token() const;

  /// hidden [rows, hidden] as Session::forward returns it -> logits [rows, vocab]. Throws Error
  /// when a logit is not finite.
  void logits(std::span<const float> hidden, std::span<float> logits) const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit LanguageModel(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

/// How keys and values are kept: as they are, rounded to FP16, or to 8 bits with an FP32 scale for
/// each position and head.
enum class CacheType { f32, f16, q8 };
/// "f32", "f16", "q8". Throws Error on another name.
CacheType parse_cache_type(std::string_view name);
std::string_view name_of(CacheType type);
/// Bytes of keys and values that one position takes.
std::size_t cache_bytes_per_token(const Architecture& arch, CacheType type);

/// One sequence and its key-value cache. Results do not depend on the number of threads.
class Session {
 public:
  /// `capacity` positions; 0: all that the model knows. Throws when the model knows fewer.
  explicit Session(LanguageModel model, std::int64_t capacity = 0, CacheType type = CacheType::f32);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  /// Appends `ids` (a prompt, or one new token) and returns their states [ids, hidden] after the
  /// final norm. Throws Error when an id is not in the vocabulary or the capacity is exceeded.
  std::vector<float> forward(std::span<const TokenId> ids);
  /// forward(), then the logits [vocab] that follow the last of `ids`.
  std::vector<float> next_logits(std::span<const TokenId> ids);

  std::int64_t position() const;  // tokens so far
  std::int64_t capacity() const;
  void rewind(std::int64_t position);  // forgets everything from `position` on

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How the next token is drawn.
struct Sampling {
  double temperature = 0.8;  // 0: the most likely token
  double top_p = 0.95;       // draws from the smallest set of tokens with this probability
  std::int64_t top_k = 0;    // draws from the k most likely tokens; 0: all
  std::uint64_t seed = 0;
};
/// Throws Error on a temperature below 0, a top_p outside (0, 1] or a top_k below 0.
class Sampler {
 public:
  explicit Sampler(const Sampling& sampling);
  TokenId next(std::span<const float> logits);

 private:
  Sampling sampling_;
  std::uint64_t state_;  // of the random numbers
};

}  // namespace karat
