// Text to tokens, split between context and continuation as lm-evaluation-harness splits it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "karat/language_model.h"
#include "task/document.h"

namespace karat {

/// Tokens that a model reads, the last `scored` of which are asked about.
struct Sequence {
  std::vector<TokenId> ids;
  std::int64_t scored = 0;
  std::span<const TokenId> inputs() const { return std::span(ids).first(ids.size() - 1); }
};

/// Knows a model's tokenizer and context.
class Encoder {
 public:
  Encoder(const LanguageModel& model, bool truncate);
  /// Blanks at the end of the context count to the continuation; the continuation's tokens are
  /// those of the whole behind as many as the context alone has (_encode_pair); an empty context is
  /// the token BOS, or EOS. Throws Error naming `where` when no token is left to score, or when the
  /// sequence is longer than the model's context and not truncated.
  Sequence encode(const Question::Request& request, const std::string& where) const;
  /// A prompt that leaves room for `most_tokens` more.
  std::vector<TokenId> prompt(const std::string& text, std::int64_t most_tokens,
                              const std::string& where) const;
  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  std::vector<TokenId> prefix_token(const std::string& where) const;
  void fit(std::vector<TokenId>& ids, std::int64_t limit, const std::string& where) const;
  Tokenizer tokenizer_;
  const Architecture& arch_;
  bool truncate_;
};

}  // namespace karat
