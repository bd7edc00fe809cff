#include "task/generate.h"

#include <algorithm>
#include <optional>

#include "run/batch_session.h"
#include "task/text.h"

namespace karat {
namespace {

constexpr const char* kNoAnswer = "[invalid]";  // lm-evaluation-harness' fallback
constexpr std::int64_t kMostSlots = 24;         // sequences decoded together
constexpr std::int64_t kSlotBytes = 1 << 30;    // of their keys and values

/// `text` up to the first of the stop texts; true when one was there.
bool cut_at_stop(std::string& text, const std::vector<std::string>& stops) {
  const std::size_t before = text.size();
  for (const std::string& stop : stops)
    if (!stop.empty()) text.resize(std::min(text.size(), text.find(stop)));
  return text.size() < before;
}

/// A text that grows by the likeliest token until it is complete.
class GrowingText {
 public:
  GrowingText(const LanguageModel& model, const Tokenizer& tokenizer, const GenerationRules& rules)
      : eos_(model.architecture().eos), tokenizer_(tokenizer), rules_(rules) {}

  /// Takes the token that these logits say comes next; false: the text is complete.
  bool grow(std::span<const float> logits) {
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    const auto next = static_cast<TokenId>(best);
    if (std::find(eos_.begin(), eos_.end(), next) != eos_.end()) return false;
    written_.push_back(next);
    // Decoded as a whole: a token's text depends on those before it.
    text_ = tokenizer_.decode(written_);
    if (cut_at_stop(text_, rules_.stop)) return false;
    return static_cast<std::int64_t>(written_.size()) < rules_.most_tokens;
  }
  std::span<const TokenId> last() const { return std::span(written_).last(1); }
  const std::string& text() const { return text_; }

 private:
  const std::vector<std::int32_t>& eos_;
  const Tokenizer& tokenizer_;
  const GenerationRules& rules_;
  std::vector<TokenId> written_ = {};
  std::string text_ = {};
};

}  // namespace

std::string generate_alone(const LanguageModel& model, const Tokenizer& tokenizer,
                           std::span<const TokenId> prompt, const GenerationRules& rules) {
  GrowingText text(model, tokenizer, rules);
  if (rules.most_tokens < 1) return {};
  Session session(model, static_cast<std::int64_t>(prompt.size()) + rules.most_tokens);
  std::vector<float> logits = session.next_logits(prompt);
  while (text.grow(logits)) logits = session.next_logits(text.last());
  return text.text();
}

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
  struct Slot {
    std::size_t prompt;
    GrowingText text;
  };
  std::size_t longest = 0, begun = 0, given = 0;
  for (const Prompt& prompt : prompts) longest = std::max(longest, prompt.size());
  const std::int64_t capacity = static_cast<std::int64_t>(longest) + rules_.most_tokens;
  BatchSession session(model_, slots_for(capacity, prompts.size()), capacity);
  std::vector<std::optional<Slot>> slots(static_cast<std::size_t>(session.slots()));
  std::vector<std::optional<std::string>> texts(prompts.size());
  const auto vocab = static_cast<std::size_t>(model_.architecture().vocab);
  while (given < prompts.size()) {
    std::vector<BatchSession::Part> parts;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const auto slot = static_cast<std::int64_t>(i);
      if (slots[i]) {
        parts.push_back({slot, slots[i]->text.last()});
        ++steps_;
      } else if (begun < prompts.size()) {
        session.clear(slot);
        parts.push_back({slot, prompts[begun]});
        prompted_ += static_cast<std::int64_t>(prompts[begun].size());
        slots[i].emplace(Slot{begun++, GrowingText(model_, tokenizer_, rules_)});
      }
    }
    const std::vector<float> logits = session.next_logits(parts);
    for (std::size_t p = 0; p < parts.size(); ++p) {
      std::optional<Slot>& slot = slots[static_cast<std::size_t>(parts[p].slot)];
      if (slot->text.grow(std::span(logits).subspan(p * vocab, vocab))) continue;
      texts[slot->prompt] = slot->text.text();
      slot.reset();
    }
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
