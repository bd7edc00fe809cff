// Sequences of an independent engine: each gives what it gives alone.
#include <doctest/doctest.h>

#include <cmath>

#include "karat/engine.h"
#include "karat/runtime.h"
#include "run/twins.h"

namespace karat {
namespace {

using testing::TempFolder;
using Ids = std::vector<TokenId>;

constexpr std::int64_t kLetters = 40;  // tokens of the tiny models

std::vector<Ids> prompts_of(const std::vector<std::int64_t>& lengths) {
  Rng rng(8);
  std::vector<Ids> prompts;
  for (const std::int64_t length : lengths)
    prompts.push_back(testing::random_ids(length, kLetters, rng));
  return prompts;
}

std::span<const float> row(const std::vector<float>& logits, std::size_t i) {
  return std::span(logits).subspan(i * kLetters, kLetters);
}

/// Logits after the prompt and after each of some tokens that follow it.
using Story = std::vector<std::vector<float>>;

constexpr std::size_t kSteps = 5;
TokenId next_of(std::size_t prompt, int step) {
  return static_cast<TokenId>((prompt * 11 + static_cast<std::size_t>(step) * 7) % kLetters);
}

EngineOptions independent(std::int64_t sequences, CacheType cache = CacheType::f32) {
  EngineOptions options{.cache = cache, .independent = true};
  options.room = sequences * options.taken(300);
  return options;
}

/// All prompts together, each two steps after the one before, so that prompts and single tokens
/// share passes. A prompt comes in pieces of `piece` tokens.
std::vector<Story> together(const LanguageModel& model, const std::vector<Ids>& prompts,
                            std::size_t piece, CacheType cache = CacheType::f32) {
  Engine engine(model, independent(static_cast<std::int64_t>(prompts.size()), cache));
  std::vector<Story> stories(prompts.size());
  std::vector<SequenceId> sequences(prompts.size(), kNoSequence);
  std::vector<std::size_t> read(prompts.size());
  std::size_t complete = 0;
  for (std::size_t pass = 0; complete < prompts.size(); ++pass) {
    std::vector<Request> requests;
    std::vector<std::size_t> who;
    std::vector<Ids> next(prompts.size());
    for (std::size_t i = 0; i < std::min(prompts.size(), pass / 2 + 1); ++i) {
      if (stories[i].size() > kSteps) continue;
      if (sequences[i] == kNoSequence) sequences[i] = engine.begin(300);
      const auto left = std::span(prompts[i]).subspan(read[i]);
      next[i] = {next_of(i, static_cast<int>(stories[i].size()))};
      const auto ids = left.empty() ? std::span<const TokenId>(next[i])
                                    : left.first(std::min(piece, left.size()));
      read[i] += left.empty() ? 0 : ids.size();
      requests.push_back({sequences[i], ids, read[i] == prompts[i].size()});
      if (requests.back().logits) who.push_back(i);
    }
    const std::vector<float> logits = engine.next_logits(requests);
    REQUIRE(logits.size() == who.size() * kLetters);
    for (std::size_t p = 0; p < who.size(); ++p) {
      const auto of = row(logits, p);
      stories[who[p]].emplace_back(of.begin(), of.end());
      if (stories[who[p]].size() <= kSteps) continue;
      engine.end(sequences[who[p]]);  // and leaves its room to others
      ++complete;
    }
  }
  return stories;
}

Story story(testing::Alone alone, const Ids& prompt, std::size_t i) {
  Story story{alone.next_logits(prompt)};
  for (int step = 1; step <= static_cast<int>(kSteps); ++step)
    story.push_back(alone.next_logits({{next_of(i, step)}}));
  return story;
}

// More than a pass together; ends inside tiles and blocks; one that fills its sequence.
const std::vector<std::int64_t> kLengths{1, 70, 130, 3, 295, 64, 17, 200};

void check_stories(const LanguageModel& model) {
  const std::vector<Ids> prompts = prompts_of(kLengths);
  const std::vector<Story> all = together(model, prompts, 300);
  const bool any_pieces = together(model, prompts, 37) == all && together(model, prompts, 2) == all;
  CHECK(any_pieces);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    CAPTURE(i);
    const Story plain = story(testing::Alone(model), prompts[i], i);
    REQUIRE(all[i].size() == plain.size());
    float worst = 0;
    for (std::size_t s = 0; s < plain.size(); ++s)
      for (std::size_t k = 0; k < plain[s].size(); ++k)
        worst = std::max(worst, std::abs(all[i][s][k] - plain[s][k]));
    CHECK(worst < 2e-4f);
    const bool same = story(testing::Alone(model, independent(1)), prompts[i], i) == all[i];
    CHECK(same);
  }
}

TEST_CASE("sequences in a batch give what they give alone, to the last bit") {
  nlohmann::json wide = testing::windowed_config();
  wide["sliding_window"] = 270;  // over more keys than are taken in at once
  for (const nlohmann::json& config :
       {testing::tiny_config(), testing::windowed_config(), wide, testing::tiny_gpt2_config()}) {
    CAPTURE(config["model_type"]);
    TempFolder folder;
    testing::write_tiny_llama(folder.path(), config);
    check_stories(LanguageModel::open(folder.path()));
  }
}

TEST_CASE("so do those of packed models, rounded activations or not, in every cache") {
  nlohmann::json config = testing::tiny_config();
  config["hidden_size"] = 128;
  config["intermediate_size"] = 256;
  const PackedLayout rounded{.format = "midrise",
                             .bits = 4,
                             .group = 0,
                             .hadamard = 128,
                             .input_grid = "gaussian",
                             .input_bits = 4};
  for (const PackedLayout& layout : {PackedLayout{.bits = 4, .group = 128}, rounded}) {
    const testing::Twins twins(layout, config);
    const LanguageModel model = LanguageModel::open(twins.packed.path());
    const std::vector<Ids> prompts = prompts_of({1, 70, 130, 3});
    for (const Activations one : {Activations::f32, Activations::q8})
      for (const CacheType cache : {CacheType::f32, CacheType::f16, CacheType::q8}) {
        const Runtime::Scope scope(Runtime::current().with(one));
        const std::vector<Story> all = together(model, prompts, 50, cache);
        for (std::size_t i = 0; i < prompts.size(); ++i) {
          const bool same =
              story(testing::Alone(model, independent(1, cache)), prompts[i], i) == all[i];
          CHECK(same);
        }
      }
  }
}

TEST_CASE("a shared beginning gives what the whole sequence gives alone, to the last bit") {
  nlohmann::json wide = testing::windowed_config();
  wide["max_position_embeddings"] = 700;
  wide["sliding_window"] = 290;
  nlohmann::json all = testing::tiny_config();
  all["max_position_embeddings"] = 700;
  for (const nlohmann::json& config : {all, wide})
    for (const CacheType cache : {CacheType::f32, CacheType::f16, CacheType::q8}) {
      TempFolder folder;
      testing::write_tiny_llama(folder.path(), config);
      const LanguageModel model = LanguageModel::open(folder.path());
      const std::vector<Ids> ids = prompts_of({300, 256, 40, 5, 90});
      Engine engine(model, {.room = 6400, .cache = cache, .independent = true});
      const SequenceId root = engine.begin(600);
      // The children's beginnings are of the same step, and one is a child's child.
      const SequenceId first = engine.begin(300, root), second = engine.begin(300, first);
      std::vector<float> found = engine.next_logits(std::vector<Request>{
          {root, ids[0], false}, {first, ids[2]}, {root, ids[1], false}, {second, ids[4]}});
      const SequenceId third = engine.begin(100, root);  // after 556 tokens
      const auto more = engine.next_logits({third, ids[3]});
      found.insert(found.end(), more.begin(), more.end());
      const std::vector<std::vector<std::size_t>> paths{{0, 2}, {0, 2, 4}, {0, 1, 3}};
      for (std::size_t p = 0; p < paths.size(); ++p) {
        Ids whole;
        for (const std::size_t part : paths[p])
          whole.insert(whole.end(), ids[part].begin(), ids[part].end());
        testing::Alone alone(model, {.cache = cache, .independent = true});
        const auto expected = alone.next_logits(whole);
        const bool same = std::ranges::equal(row(found, p), expected);
        CHECK(same);
      }
    }
}

TEST_CASE("a context shorter than what a pass is filled up to") {
  nlohmann::json config = testing::tiny_gpt2_config();
  config["n_positions"] = 3;
  config["n_ctx"] = 3;
  TempFolder folder;
  testing::write_tiny_llama(folder.path(), config);
  const LanguageModel model = LanguageModel::open(folder.path());
  const Ids ids{1, 2, 3};
  const auto got = testing::Alone(model, {.independent = true}).next_logits(ids);
  const auto expected = testing::Alone(model).next_logits(ids);
  REQUIRE(got.size() == expected.size());
  for (std::size_t k = 0; k < got.size(); ++k)
    CHECK(got[k] == doctest::Approx(expected[k]).epsilon(1e-3));
}

}  // namespace
}  // namespace karat
