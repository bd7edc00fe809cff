// What stands behind karat::Tokenizer: one of its readers.
#pragma once

#include "karat/tokenizer.h"
#include "load/tokenizer_side.h"

namespace karat {

struct Tokenizer::Impl {
  virtual ~Impl() = default;
  /// `text` is valid UTF-8.
  virtual std::vector<TokenId> encode(std::string_view text, bool special) const = 0;
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special) const = 0;
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> find(std::string_view token) const = 0;
  virtual std::optional<std::string> piece(TokenId id) const = 0;
  virtual std::int64_t vocab_size() const = 0;

  /// Contents of tokenizer.json, of tokenizer.model, or of vocab.json and merges.txt. `name` is the
  /// file that errors speak of, `model_type` that of config.json.
  static std::shared_ptr<const Impl> from_json(std::string_view text, const std::string& name,
                                               const SideFiles& side);
  static std::shared_ptr<const Impl> from_sentencepiece(const std::string& model,
                                                        const std::string& name,
                                                        const SideFiles& side);
  static std::shared_ptr<const Impl> from_merges(std::string_view vocab, std::string_view merges,
                                                 const std::string& name, const SideFiles& side,
                                                 const std::string& model_type);
  static Tokenizer wrap(std::shared_ptr<const Impl> impl) { return Tokenizer(std::move(impl)); }
};

}  // namespace karat
