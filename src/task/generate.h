// What a model writes after a prompt, and the answer in it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "task/definition.h"
#include "task/pattern.h"
#include "task/requests.h"

namespace karat {

/// Greedy continuations of many prompts, each up to a stop text (left out), EOS or `most_tokens`,
/// several at a time: one that is complete makes room for the next. None depends on the others, to
/// the last bit.
class BatchWriter {
 public:
  /// `slots`: how many at a time; 0: as many as bring speed and fit into some memory.
  BatchWriter(const LanguageModel& model, const Tokenizer& tokenizer, const GenerationRules& rules,
              std::int64_t slots = 0)
      : model_(model), tokenizer_(tokenizer), rules_(rules), slots_(slots) {}
  using Prompt = std::span<const TokenId>;
  /// Gives the texts in the order of their prompts, each as soon as all before it are complete, and
  /// calls `pass` after each forward pass.
  void write(std::span<const Prompt> prompts,
             const std::function<void(std::size_t prompt, std::string text)>& give,
             const std::function<void()>& pass);
  std::int64_t prompted() const { return prompted_; }  // tokens of prompts
  std::int64_t steps() const { return steps_; }        // tokens that went through after them

 private:
  std::int64_t slots_for(std::int64_t capacity, std::size_t prompts) const;
  const LanguageModel& model_;
  const Tokenizer& tokenizer_;
  const GenerationRules& rules_;
  std::int64_t slots_, prompted_ = 0, steps_ = 0;
};

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
