#include "task/generate.h"

#include <algorithm>

#include "task/text.h"

namespace karat {
namespace {

constexpr const char* kNoAnswer = "[invalid]";  // lm-evaluation-harness' fallback

/// `text` up to the first of the stop texts; true when one was there.
bool cut_at_stop(std::string& text, const std::vector<std::string>& stops) {
  const std::size_t before = text.size();
  for (const std::string& stop : stops)
    if (!stop.empty()) text.resize(std::min(text.size(), text.find(stop)));
  return text.size() < before;
}

}  // namespace

std::string generate(const LanguageModel& model, const Tokenizer& tokenizer,
                     std::span<const TokenId> prompt, const GenerationRules& rules,
                     std::int64_t& steps) {
  const std::vector<std::int32_t>& eos = model.architecture().eos;
  Session session(model, static_cast<std::int64_t>(prompt.size()) + rules.most_tokens);
  std::vector<float> logits = session.next_logits(prompt);
  std::vector<TokenId> written;
  std::string text;
  for (std::int64_t i = 0; i < rules.most_tokens; ++i) {
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    const auto next = static_cast<TokenId>(best);
    if (std::find(eos.begin(), eos.end(), next) != eos.end()) break;
    written.push_back(next);
    // Decoded as a whole: a token's text depends on those before it.
    text = tokenizer.decode(written);
    if (cut_at_stop(text, rules.stop)) break;
    if (i + 1 == rules.most_tokens) break;
    logits = session.next_logits(std::span(written).last(1));
    ++steps;
  }
  return text;
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
