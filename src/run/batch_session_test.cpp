#include "run/batch_session.h"

#include <doctest/doctest.h>

#include <cmath>

#include "karat/runtime.h"
#include "run/twins.h"

namespace karat {
namespace {

using testing::error_of;
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

constexpr int kSteps = 5;
TokenId next_of(std::size_t prompt, int step) {
  return static_cast<TokenId>((prompt * 11 + static_cast<std::size_t>(step) * 7) % kLetters);
}

/// All prompts together, each two steps after the one before, so that prompts and single tokens
/// share passes.
std::vector<Story> together(const LanguageModel& model, const std::vector<Ids>& prompts) {
  BatchSession session(model, static_cast<std::int64_t>(prompts.size()), 300);
  std::vector<Story> stories(prompts.size());
  for (int pass = 0; pass < 2 * static_cast<int>(prompts.size()) + kSteps; ++pass) {
    std::vector<BatchSession::Part> parts;
    std::vector<Ids> tokens(prompts.size());
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const int step = pass - 2 * static_cast<int>(i);
      if (step < 0 || step > kSteps) continue;
      tokens[i] = step == 0 ? prompts[i] : Ids{next_of(i, step)};
      parts.push_back({static_cast<std::int64_t>(i), tokens[i]});
    }
    const std::vector<float> logits = session.next_logits(parts);
    for (std::size_t p = 0; p < parts.size(); ++p) {
      const auto of = row(logits, p);
      stories[static_cast<std::size_t>(parts[p].slot)].emplace_back(of.begin(), of.end());
    }
  }
  return stories;
}

Story in_a_session(const LanguageModel& model, const Ids& prompt, std::size_t i) {
  Session session(model);
  Story story{session.next_logits(prompt)};
  for (int step = 1; step <= kSteps; ++step)
    story.push_back(session.next_logits({{next_of(i, step)}}));
  return story;
}

Story alone(BatchSession& session, std::int64_t slot, const Ids& prompt, std::size_t i) {
  session.clear(slot);
  Story story{session.next_logits(std::vector{BatchSession::Part{slot, prompt}})};
  for (int step = 1; step <= kSteps; ++step) {
    const Ids next{next_of(i, step)};
    story.push_back(session.next_logits(std::vector{BatchSession::Part{slot, next}}));
  }
  return story;
}

void check_stories(const LanguageModel& model) {
  // More than a pass together; ends inside tiles and blocks; one that fills its slot.
  const std::vector<Ids> prompts = prompts_of({1, 70, 130, 3, 295, 64, 17, 200});
  const std::vector<Story> all = together(model, prompts);
  BatchSession session(model, 2, 300);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    CAPTURE(i);
    const Story plain = in_a_session(model, prompts[i], i);
    REQUIRE(all[i].size() == plain.size());
    float worst = 0;
    for (std::size_t s = 0; s < plain.size(); ++s)
      for (std::size_t k = 0; k < plain[s].size(); ++k)
        worst = std::max(worst, std::abs(all[i][s][k] - plain[s][k]));
    CHECK(worst < 2e-4f);
    const bool same = alone(session, static_cast<std::int64_t>(i % 2), prompts[i], i) == all[i];
    CHECK(same);
  }
}

TEST_CASE("sequences in a batch give what they give alone, to the last bit") {
  for (const nlohmann::json& config :
       {testing::tiny_config(), testing::windowed_config(), testing::tiny_gpt2_config()}) {
    CAPTURE(config["model_type"]);
    TempFolder folder;
    testing::write_tiny_llama(folder.path(), config);
    check_stories(LanguageModel::open(folder.path()));
  }
}

TEST_CASE("so do those of packed models, rounded activations or not") {
  nlohmann::json config = testing::tiny_config();
  config["hidden_size"] = 128;
  config["intermediate_size"] = 256;
  const testing::Twins twins({.bits = 4, .group = 128}, config);
  const LanguageModel model = LanguageModel::open(twins.packed.path());
  const std::vector<Ids> prompts = prompts_of({1, 70, 130, 3});
  for (const Activations one : {Activations::f32, Activations::q8}) {
    const ActivationsScope scope(one);
    const std::vector<Story> all = together(model, prompts);
    BatchSession session(model, 1, 300);
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const bool same = alone(session, 0, prompts[i], i) == all[i];
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
  BatchSession session(model, 1, 3);
  const Ids ids{1, 2, 3};
  const std::vector<float> got = session.next_logits(std::vector{BatchSession::Part{0, ids}});
  const std::vector<float> expected = Session(model).next_logits(ids);
  REQUIRE(got.size() == expected.size());
  for (std::size_t k = 0; k < got.size(); ++k)
    CHECK(got[k] == doctest::Approx(expected[k]).epsilon(1e-3));
}

TEST_CASE("what a batch cannot take is refused and changes nothing") {
  TempFolder folder;
  testing::write_tiny_llama(folder.path());
  const LanguageModel model = LanguageModel::open(folder.path());
  BatchSession session(model, 2, 10);
  const Ids good(3, 1), full(11, 1), unknown{40}, none;
  const auto error = [&](std::int64_t slot, const Ids& ids) {
    return error_of([&] {
      session.next_logits(std::vector<BatchSession::Part>{{0, good}, {slot, ids}});
    });
  };
  CHECK(error(1, full).find("11 tokens after 0") != std::string::npos);
  CHECK(error(1, unknown).find("id below 40") != std::string::npos);
  for (const std::int64_t slot : {0, 2, -1})
    CHECK(error(slot, good).find("each slot once") != std::string::npos);
  CHECK(error(1, none).find("each slot once") != std::string::npos);
  CHECK(session.position(0) == 0);
  CHECK(error_of([&] { BatchSession(model, 1, 301); }).find("context of 300") != std::string::npos);
}

}  // namespace
}  // namespace karat
