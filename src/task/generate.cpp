#include "task/generate.h"

#include <algorithm>
#include <optional>

#include "karat/generate.h"
#include "load/characters.h"
#include "task/text.h"

namespace karat {
namespace {

constexpr const char* kNoAnswer = "[invalid]";  // lm-evaluation-harness' fallback
constexpr std::int64_t kMostSlots = 24;         // sequences decoded together
constexpr std::int64_t kSlotBytes = 1 << 30;    // of their keys and values

}  // namespace

std::int64_t BatchWriter::slots_for(std::int64_t capacity, std::size_t prompts) const {
  const auto most = static_cast<std::int64_t>(prompts);
  if (slots_ > 0) return std::min(slots_, most);
  const auto each =
      static_cast<std::int64_t>(cache_bytes_per_token(model_.architecture(), CacheType::f32) *
                                static_cast<std::size_t>(capacity));
  return std::clamp<std::int64_t>(kSlotBytes / each, 1, std::min(kMostSlots, most));
}

void BatchWriter::write(std::span<const Prompt> prompts,
                        const std::function<void(std::size_t, std::string)>& give,
                        const std::function<void()>& pass) {
  if (prompts.empty()) return;
  std::size_t longest = 0, given = 0;
  for (const Prompt& prompt : prompts) longest = std::max(longest, prompt.size());
  const std::int64_t capacity = static_cast<std::int64_t>(longest) + rules_.most_tokens;
  const std::int64_t slots = slots_for(capacity, prompts.size());
  EngineOptions options{.independent = true};
  options.room = slots * options.taken(capacity);
  Engine engine(model_, options);
  Generator generator(engine, tokenizer_, slots);
  std::vector<std::optional<std::string>> texts(prompts.size());
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    prompted_ += static_cast<std::int64_t>(prompts[i].size());
    generator.add({.prompt = {prompts[i].begin(), prompts[i].end()},
                   .max_new = rules_.most_tokens,
                   .sampling = {.temperature = 0},
                   .stop_texts = rules_.stop,
                   .after_prompt = false},
                  [&texts, i, this](Generated written) {
                    texts[i] = std::move(written.text);
                    steps_ += written.steps;
                  });
  }
  while (generator.busy()) {
    generator.step();
    for (; given < prompts.size() && texts[given]; ++given) give(given, std::move(*texts[given]));
    pass();
  }
}

AnswerFinder::AnswerFinder(const GenerationRules& rules, const std::string& where) : rules_(rules) {
  for (const Extraction& extraction : rules.extract)
    patterns_.emplace_back(extraction.pattern, where);
  for (const std::string& pattern : rules.ignore) ignored_.emplace_back(pattern, where);
}

std::string AnswerFinder::extracted(std::size_t extraction, const std::string& response) const {
  const auto found = patterns_[extraction].find_all(response);
  const auto count = static_cast<std::int64_t>(found.size());
  std::int64_t which = rules_.extract[extraction].select;
  if (which < 0) which += count;
  if (which < 0 || which >= count) return kNoAnswer;
  for (const std::string& group : found[static_cast<std::size_t>(which)])
    if (!group.empty()) return std::string(without_space(group));
  return kNoAnswer;
}

std::string AnswerFinder::plain(std::string text) const {
  for (const Pattern& pattern : ignored_) text = pattern.removed_from(text);
  return rules_.ignore_case ? lower_case(text) : text;
}

std::vector<AnswerFinder::Answer> AnswerFinder::find(const std::string& response,
                                                     const std::string& target) const {
  std::vector<Answer> answers;
  const std::string expected = plain(target);
  if (rules_.extract.empty()) answers.push_back({"", response, plain(response) == expected});
  for (std::size_t i = 0; i < rules_.extract.size(); ++i) {
    const std::string text = extracted(i, response);
    answers.push_back({rules_.extract[i].name, text, plain(text) == expected});
  }
  return answers;
}

}  // namespace karat
