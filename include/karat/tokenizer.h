// Text to token ids and back, exactly as the Hugging Face tokenizer of the folder does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace karat {

using TokenId = std::int32_t;

class Tokenizer {
 public:
  /// Opens tokenizer.json (byte-level BPE, or BPE with byte fallback), else tokenizer.model
  /// (sentencepiece), else vocab.json and merges.txt (of GPT-2's or Qwen2's class); or what a GGUF
  /// file says of these (byte-level BPE, or sentencepiece's). What
  /// tokenizer_config.json, special_tokens_map.json and added_tokens.json beside them add is part
  /// of it, as in transformers 5. Throws Error when none is there, one is malformed, or of another
  /// kind.
  static Tokenizer open(const std::filesystem::path& folder);

  /// Token ids of UTF-8 `text`; malformed bytes count as U+FFFD. With `special`, adds BOS (or what
  /// the post-processor says). Added tokens inside the text ("<|endoftext|>") become their ids.
  std::vector<TokenId> encode(std::string_view text, bool special = true) const;
  /// UTF-8 text. Special tokens are skipped unless asked for; ids that are no token, always.
  std::string decode(std::span<const TokenId> ids, bool skip_special = true) const;

  std::optional<TokenId> bos() const;  // what encode() puts in front; nothing: it adds no BOS
  std::optional<TokenId> find(std::string_view token) const;  // id of a token's exact text
  /// The inverse: a token as the vocabulary spells it ("Ġworld", "▁world", "<0xE6>"), if there is
  /// one.
  std::optional<std::string> piece(TokenId id) const;
  std::int64_t vocab_size() const;  // highest id + 1
  /// The files this tokenizer was read from, for copying beside a quantized model (all but a GGUF
  /// file, load/model_files.h). Throws Error on a link whose target is gone, as open() does.
  static std::vector<std::filesystem::path> files(const std::filesystem::path& folder);

  struct Impl;

 private:
  explicit Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

/// Turns a stream of ids into text, holding back bytes of an unfinished UTF-8 character.
class TokenStream {
 public:
  /// The text of what follows `before`, whose own text is known already.
  explicit TokenStream(const Tokenizer& tokenizer, std::span<const TokenId> before = {});
  std::string push(TokenId id);  // the text that became certain; special tokens give none
  std::string finish();          // what was held back: the text of an unfinished character

 private:
  const Tokenizer& tokenizer_;
  std::vector<TokenId> ids_;  // of the last piece of text and everything since
  std::size_t context_ = 0;   // how many of them are printed
  std::string printed_;       // their text
};

}  // namespace karat
