// The body of a request, checked.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "karat/generate.h"
#include "karat/tokenizer.h"

namespace karat {

struct CompletionLimits {
  std::int64_t context = 0, texts = 0, vocab = 0;
};

struct CompletionRequest {
  struct Prompt {
    std::vector<TokenId> ids;
    std::string text;
  };
  std::vector<Prompt> prompts;
  std::int64_t n = 1;
  bool echo = false, stream = false, usage = false;  // usage: in a last event of the stream
  bool chat = false;                                 // texts are an assistant's messages
  Generation wanted = {};                            // of every text, apart from prompt and seed

  std::size_t texts() const { return prompts.size() * static_cast<std::size_t>(n); }
  const Prompt& prompt_of(std::size_t text) const {
    return prompts[text / static_cast<std::size_t>(n)];
  }
  /// What the generator is to write, in the order of choices: every prompt n times, whose seeds
  /// follow each other.
  std::vector<Generation> generations() const;
};

/// The body of /v1/completions. A field that is null counts as absent; one that is unknown is
/// refused by name, since it would change nothing without a word. Throws ApiError.
CompletionRequest parse_completion(std::string_view body, const Tokenizer& tokenizer,
                                   const CompletionLimits& limits);
/// The body of /v1/chat/completions: one prompt, which `prompt_of` makes of the JSON of messages
/// and tools (none: ""). Content in parts is their text; parts of another kind are refused, as is
/// what the template refuses. Throws ApiError.
using ChatPrompt =
    std::function<std::string(const std::string& messages, const std::string& tools)>;
CompletionRequest parse_chat(std::string_view body, const ChatPrompt& prompt_of,
                             const Tokenizer& tokenizer, const CompletionLimits& limits);
/// That of /tokenize: {"content": text, "add_special": true} -> {"tokens": ids}.
std::string tokenize_answer(std::string_view body, const Tokenizer& tokenizer);

}  // namespace karat
