// OpenAI's JSON of what was written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "karat/tokenizer.h"
#include "serve/completion_request.h"
#include "serve/scheduler.h"

namespace karat {

/// {"error": …}, as OpenAI's clients read it.
std::string error_answer(int status, std::string_view message, std::string_view param = {});
std::string models_answer(std::string_view name);
/// Prometheus's text format.
std::string metrics_answer(ServedCounts& counts, std::int64_t open);

/// Makes one request's answer of the pieces of its texts, in any order of texts.
class CompletionAnswer {
 public:
  CompletionAnswer(const CompletionRequest& request, const Tokenizer& tokenizer, std::string name);
  /// Takes a piece in. The event of a stream that shows it, or nothing when there is none to see.
  std::string event(ServedPiece piece);
  bool complete() const { return complete_ == choices_.size(); }
  std::string whole() const;  // the answer in one, once complete
  std::string end() const;    // the last events of a stream

 private:
  struct Choice {
    std::string text, finish;
    std::vector<TokenScore> scores;  // of the tokens so far, an echoed prompt's included
    std::size_t shown = 0;           // of scores, in events
    std::int64_t offset = 0;         // in the text, of the first token that was not shown
    bool begun = false;
  };
  const CompletionRequest::Prompt& prompt(std::size_t index) const;
  std::string logprobs(Choice& choice, std::size_t index) const;
  std::string chat_logprobs(Choice& choice) const;
  /// JSON of `text`, all that was written or the next of it, and what belongs to it.
  std::string shown(Choice& choice, std::size_t index, const std::string& text, bool whole) const;
  std::string usage() const;
  std::string object(const std::string& choices, const std::string& more, bool whole) const;

  const CompletionRequest& request_;
  const Tokenizer& tokenizer_;
  std::string name_, id_;
  std::int64_t created_;
  std::vector<Choice> choices_;
  std::size_t complete_ = 0;
  std::int64_t prompt_tokens_ = 0, written_ = 0;
};

}  // namespace karat
