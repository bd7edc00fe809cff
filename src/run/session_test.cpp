#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "core/threads.h"
#include "karat/language_model.h"
#include "run/testing.h"

namespace karat {
namespace {

using testing::error_of;
using testing::TempFolder;

std::vector<TokenId> some_ids(std::size_t count, std::int64_t vocab) {
  Rng rng(5);
  std::vector<TokenId> ids(count);
  for (TokenId& id : ids) id = static_cast<TokenId>(rng.below(static_cast<std::uint64_t>(vocab)));
  return ids;
}

double worst_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return worst;
}

std::vector<float> one_by_one(Session& session, std::span<const TokenId> ids) {
  std::vector<float> states;
  for (const TokenId id : ids) {
    const auto state = session.forward({&id, 1});
    states.insert(states.end(), state.begin(), state.end());
  }
  return states;
}

TEST_CASE("a prompt in one go equals token by token") {
  const TempFolder folder;
  for (const int window : {0, 50}) {
    auto config = testing::tiny_config();
    if (window > 0) config.update({{"model_type", "mistral"}, {"sliding_window", window}});
    testing::write_tiny_llama(folder.path(), config);
    const LanguageModel model = LanguageModel::open(folder.path());
    const auto ids = some_ids(290, 40);  // more than a batch, several key blocks
    Session whole(model), steps(model), half(model, 0, CacheType::f16);
    const auto states = whole.forward(ids);
    CHECK(worst_difference(states, one_by_one(steps, ids)) < 2e-5);
    CHECK(worst_difference(states, half.forward(ids)) < 2e-2);
    CHECK(whole.position() == 290);
    whole.rewind(100);
    const auto tail = whole.forward(std::span(ids).subspan(100));
    CHECK(worst_difference({states.end() - 190 * 32, states.end()}, tail) < 2e-5);
  }
}

TEST_CASE("states do not depend on the threads") {
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  const LanguageModel model = LanguageModel::open(folder.path());
  const auto ids = some_ids(100, 40);
  const int before = thread_count();
  std::vector<std::vector<float>> states;
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    Session session(model);
    states.push_back(session.forward(ids));
  }
  set_thread_count(before);
  CHECK(states[0] == states[1]);
  CHECK(states[0] == states[2]);
}

TEST_CASE("misuse of a session is refused and changes nothing") {
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  const LanguageModel model = LanguageModel::open(folder.path());
  CHECK(error_of([&] { Session(model, 301); }).find("context of 300") != std::string::npos);
  Session session(model, 10);
  CHECK(session.capacity() == 10);
  CHECK(error_of([&] { session.forward(some_ids(11, 40)); }).find("at most 10") !=
        std::string::npos);
  CHECK(error_of([&] { session.forward({}); }).find("no token") != std::string::npos);
  CHECK(error_of([&] { session.forward({{40}}); }).find("id 40") != std::string::npos);
  CHECK(error_of([&] { session.forward({{-1}}); }).find("id -1") != std::string::npos);
  CHECK(error_of([&] { session.rewind(1); }).find("rewind") != std::string::npos);
  CHECK(session.position() == 0);
  session.forward(some_ids(10, 40));
  CHECK(error_of([&] { session.forward({{1}}); }).find("1 tokens after 10") != std::string::npos);
}

TEST_CASE("a model file that is cut or written to while it is mapped is an error") {
  namespace fs = std::filesystem;
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  const fs::path file = folder.path() / "model.safetensors";
  const auto run = [](const LanguageModel& model) {
    return error_of([&] { Session(model).forward({{1}}); });
  };
  const LanguageModel touched = LanguageModel::open(folder.path());
  CHECK(run(touched) == "no error");
  fs::last_write_time(file, fs::last_write_time(file) + std::chrono::seconds(1));
  CHECK(run(touched).find("a change") != std::string::npos);

  const LanguageModel cut = LanguageModel::open(folder.path());
  fs::resize_file(file, fs::file_size(file) - 100);
  CHECK(run(cut).find("something cut it") != std::string::npos);

  testing::write_tiny_llama(folder.path());
  const LanguageModel replaced = LanguageModel::open(folder.path());
  fs::remove(file);
  CHECK(run(replaced) == "no error");  // what is mapped is as it was
  testing::write_tiny_llama(folder.path());
  CHECK(run(replaced) == "no error");
}

TEST_CASE("an 8-bit cache changes states a little") {
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  const LanguageModel model = LanguageModel::open(folder.path());
  const auto ids = some_ids(290, 40);
  Session exact(model), small(model, 0, CacheType::q8);
  CHECK(worst_difference(exact.forward(ids), small.forward(ids)) < 0.1);
}

TEST_CASE("keys and values that overflow an f16 cache are named, and f32 keeps them") {
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  for (const std::string part : {"k_proj", "v_proj"}) {
    CAPTURE(part);
    auto tensors = testing::random_weights(folder.path());
    for (OwnedTensor& tensor : tensors)
      if (tensor.name.find("layers.1.self_attn." + part) != std::string::npos)
        for (std::size_t at = 0; at < tensor.data.size(); at += sizeof(float)) {
          float value = 0;
          std::memcpy(&value, tensor.data.data() + at, sizeof value);
          value *= 1e6f;
          std::memcpy(tensor.data.data() + at, &value, sizeof value);
        }
    testing::write_model(folder.path(), testing::tiny_config(), tensors);
    const LanguageModel model = LanguageModel::open(folder.path());
    Session half(model, 20, CacheType::f16), exact(model, 20), small(model, 20, CacheType::q8);
    const auto ids = some_ids(20, 40);
    const std::string text = error_of([&] { half.next_logits(ids); });
    CHECK(text.starts_with("key-value cache: got a key or value of "));
    CHECK(text.find("--kv f32") != std::string::npos);
    CHECK(half.position() == 0);
    exact.next_logits(ids);
    small.next_logits(ids);
  }
}

TEST_CASE("a logit that is not finite is an error") {
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), 3e38f}) {
    auto tensors = testing::random_weights(folder.path());
    for (OwnedTensor& tensor : tensors)
      if (tensor.name == "lm_head.weight")
        for (std::size_t i = 0; i < 32; ++i)
          std::memcpy(tensor.data.data() + 4 * (7 * 32 + i), &bad, 4);
    testing::write_model(folder.path(), testing::tiny_config(), tensors);
    const LanguageModel model = LanguageModel::open(folder.path());
    Session session(model);
    const std::string text = error_of([&] { session.next_logits({{3}}); });
    if (std::isnan(bad)) CHECK(text.find("NaN or infinite") != std::string::npos);
    // 3e38 overflows unless the state happens to be small; either way nothing but a number comes
    // out.
    if (text == "no error") {
      session.rewind(0);
      for (const float logit : session.next_logits({{3}})) CHECK(std::isfinite(logit));
    }
  }
}

}  // namespace
}  // namespace karat
