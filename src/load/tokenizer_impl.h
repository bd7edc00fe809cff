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

  /// Contents of tokenizer.json, or of tokenizer.model and of tokenizer_config.json (empty: there
  /// is none). `name` is the file that errors speak of.
  static std::shared_ptr<const Impl> from_json(std::string_view text, const std::string& name);
  static std::shared_ptr<const Impl> from_sentencepiece(const std::string& model,
                                                        std::string_view config,
                                                        const std::string& name);
  static Tokenizer wrap(std::shared_ptr<const Impl> impl) { return Tokenizer(std::move(impl)); }
};

}  // namespace karat
