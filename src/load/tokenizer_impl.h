// What stands behind karat::Tokenizer: one of the two readers.
#pragma once

#include "karat/tokenizer.h"

namespace karat {

struct Tokenizer::Impl {
  virtual ~Impl() = default;
  /// `text` is valid UTF-8.
  virtual std::vector<TokenId> encode(std::string_view text, bool special) const = 0;
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special) const = 0;
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> find(std::string_view token) const = 0;
  virtual std::int64_t vocab_size() const = 0;

  static std::shared_ptr<const Impl> open_json(const std::filesystem::path& file);
  static std::shared_ptr<const Impl> open_sentencepiece(const std::filesystem::path& file);
};

}  // namespace karat
