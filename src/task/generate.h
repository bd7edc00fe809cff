// What a model writes after a prompt, and the answer in it.
#pragma once

#include <string>
#include <vector>

#include "task/definition.h"
#include "task/pattern.h"
#include "task/requests.h"

namespace karat {

/// Greedy continuation of `prompt`: up to a stop text (left out), EOS or `most_tokens`. `steps`
/// gains the tokens that went through the model after the prompt.
std::string generate(const LanguageModel& model, const Tokenizer& tokenizer,
                     std::span<const TokenId> prompt, const GenerationRules& rules,
                     std::int64_t& steps);

/// Finds answers as lm-evaluation-harness' filter "regex" does, and compares as its exact_match.
class AnswerFinder {
 public:
  AnswerFinder(const GenerationRules& rules, const std::string& where);
  struct Answer {
    std::string name, text;  // of the extraction; "" when the task has none
    bool right = false;
  };
  std::vector<Answer> find(const std::string& response, const std::string& target) const;

 private:
  std::string extracted(std::size_t extraction, const std::string& response) const;
  std::string plain(std::string text) const;
  const GenerationRules& rules_;
  std::vector<Pattern> patterns_, ignored_;
};

}  // namespace karat
