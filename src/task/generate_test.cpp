#include "task/generate.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "core/file.h"
#include "karat/engine.h"
#include "karat/task.h"
#include "load/testing.h"

namespace karat {
namespace {

namespace fs = std::filesystem;
using testing::TempFolder;

const fs::path kTinyModel = fs::path(KARAT_SOURCE_DIR) / "models" / "karat-tiny";

/// Beginnings of stories, of many lengths.
std::vector<std::string> openings() {
  const std::string text =
      "Once upon a time there was a little girl who liked to play in the garden. "
      "One day she found a big red ball. She said to her mother: look what I found";
  std::vector<std::string> all;
  for (std::size_t length = 9; length < text.size(); length += 13)
    all.push_back(text.substr(0, length));
  return all;
}

/// The plain way: one prompt in an engine of its own, its text decoded again after each token.
std::string written_alone(const LanguageModel& model, const Tokenizer& tokenizer,
                          std::span<const TokenId> prompt, const GenerationRules& rules) {
  Engine engine(model);
  const SequenceId sequence = engine.begin();
  std::vector<TokenId> ids;
  std::string text;
  for (std::span<const TokenId> next = prompt;; next = std::span(ids).last(1)) {
    const std::vector<float> logits = engine.next_logits({sequence, next});
    const auto best = static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
    if (std::ranges::count(model.architecture().eos, best) > 0) return text;
    ids.push_back(best);
    text = tokenizer.decode(ids);
    const std::size_t before = text.size();
    for (const std::string& stop : rules.stop) text.resize(std::min(text.size(), text.find(stop)));
    if (text.size() < before || static_cast<std::int64_t>(ids.size()) == rules.most_tokens)
      return text;
  }
}

TEST_CASE("texts written together are those written alone, however many go together") {
  const LanguageModel model = LanguageModel::open(kTinyModel);
  const Tokenizer tokenizer = Tokenizer::open(kTinyModel);
  GenerationRules rules;
  rules.stop = {".", "ball"};
  rules.most_tokens = 40;
  std::vector<std::vector<TokenId>> tokens;
  for (const std::string& text : openings()) tokens.push_back(tokenizer.encode(text));
  const std::vector<BatchWriter::Prompt> prompts(tokens.begin(), tokens.end());
  std::vector<std::string> plain;
  std::size_t stopped = 0;
  for (const auto& prompt : prompts) {
    plain.push_back(written_alone(model, tokenizer, prompt, rules));
    CHECK(plain.back().find('.') == std::string::npos);
    stopped += tokenizer.encode(plain.back(), false).size() < 30;
  }
  CHECK(stopped > 0);  // some end early, so that others take their places
  for (const std::int64_t slots : {1, 3, 5, 0}) {
    CAPTURE(slots);
    BatchWriter writer(model, tokenizer, rules, slots);
    std::vector<std::string> found;
    std::int64_t passes = 0;
    writer.write(
        prompts,
        [&](std::size_t i, std::string text) {
          CHECK(i == found.size());  // in order
          found.push_back(std::move(text));
        },
        [&] { ++passes; });
    CHECK(found == plain);
    CHECK(passes <= writer.steps() + static_cast<std::int64_t>(prompts.size()));
    if (slots == 0) CHECK(passes <= rules.most_tokens);
  }
}

TEST_CASE("nothing to write is nothing") {
  const LanguageModel model = LanguageModel::open(kTinyModel);
  const Tokenizer tokenizer = Tokenizer::open(kTinyModel);
  const GenerationRules rules;
  BatchWriter writer(model, tokenizer, rules);
  writer.write(
      {}, [](std::size_t, const std::string&) { FAIL("a text"); }, [] { FAIL("a pass"); });
  CHECK(writer.steps() == 0);
}

/// Sums to be written out, of different lengths.
void write_sums(const TempFolder& folder) {
  std::string rows;
  for (int i = 0; i < 7; ++i)
    rows += R"({"question":"Tom has )" + std::to_string(i) + " apples" +
            std::string(static_cast<std::size_t>(i % 3) * 7, '!') +
            R"( and gets one. How many?","answer":"one more #### )" + std::to_string(i + 1) +
            "\"}\n";
  folder.write("gsm8k.jsonl", rows);
}

TEST_CASE("interrupted generation goes on to the same bytes") {
  const LanguageModel model = LanguageModel::open(kTinyModel);
  TempFolder folder;
  write_sums(folder);
  TaskOptions options{.tasks = {"gsm8k"}, .data = folder.path(), .shots = 0};
  options.items = folder / "items.jsonl";
  const TaskReport report = evaluate_tasks(model, nullptr, options);
  CHECK(report.results[0].items == 7);
  CHECK(report.speed.generated > 0);
  CHECK(report.speed.prompted > 0);
  CHECK(report.speed.run == 0);
  const std::string whole = read_text(options.items);
  for (const std::size_t cut : {whole.size() * 9 / 10, whole.size() / 2, whole.find('\n') + 1}) {
    folder.write("items.jsonl", whole.substr(0, cut));
    const TaskReport again = evaluate_tasks(model, nullptr, options);
    const bool same = read_text(options.items) == whole;
    CHECK(same);
    CHECK(again.speed.generated <= report.speed.generated);
  }
  CHECK(evaluate_tasks(model, nullptr, options).speed.generated == 0);  // nothing left to do
  fs::remove(options.items);
  int calls = 0;
  CHECK_THROWS_AS(
      evaluate_tasks(model, nullptr, options,
                     [&](const ProgressEvent& event) { return ++calls < 300 && event.done < 200; }),
      Interrupted);
  evaluate_tasks(model, nullptr, options);
  const bool same = read_text(options.items) == whole;
  CHECK(same);
}

}  // namespace
}  // namespace karat
