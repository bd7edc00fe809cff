#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <thread>

#include "core/threads.h"
#include "karat/engine.h"
#include "run/places.h"
#include "run/testing.h"

namespace karat {
namespace {

using testing::Alone;
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

std::vector<float> one_by_one(Alone& alone, std::span<const TokenId> ids) {
  std::vector<float> states;
  for (const TokenId id : ids) {
    const auto state = alone.step({&id, 1});
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
    Alone whole(model), steps(model), half(model, {.cache = CacheType::f16});
    const auto states = whole.step(ids);
    CHECK(worst_difference(states, one_by_one(steps, ids)) < 2e-5);
    CHECK(worst_difference(states, half.step(ids)) < 2e-2);
    CHECK(whole.position() == 290);
    whole.rewind(100);
    const auto tail = whole.step(std::span(ids).subspan(100));
    CHECK(worst_difference({states.end() - 190 * 32, states.end()}, tail) < 2e-5);
  }
}

TEST_CASE("states do not depend on the threads") {
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  const LanguageModel model = LanguageModel::open(folder.path());
  const auto ids = some_ids(100, 40);
  std::vector<std::vector<float>> states;
  for (const int threads : {1, 2, 3}) {
    const ThreadScope scope(threads);
    states.push_back(Alone(model).step(ids));
  }
  CHECK(states[0] == states[1]);
  CHECK(states[0] == states[2]);
}

TEST_CASE("engines of different runtimes work at the same time, each as alone") {
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  const LanguageModel model = LanguageModel::open(folder.path());
  const auto ids = some_ids(120, 40);
  std::vector<RuntimeOptions> options;
  for (const std::string_view set : instruction_sets())
    options.push_back({static_cast<int>(options.size()) + 1, std::string(set), Activations::q8});
  std::vector<std::vector<float>> expected(options.size()), found(options.size());
  for (std::size_t i = 0; i < options.size(); ++i) {
    const Runtime::Scope scope{Runtime(options[i])};
    expected[i] = Alone(model).step(ids);
  }
  std::vector<std::thread> users;
  for (std::size_t i = 0; i < options.size(); ++i)
    users.emplace_back([&, i] {
      Alone alone(model, {.runtime = Runtime(options[i])});
      for (int round = 0; round < 5; ++round) {
        alone.rewind(0);
        found[i] = alone.step(ids);
      }
    });
  for (std::thread& user : users) user.join();
  CHECK(found == expected);
}

TEST_CASE("what an engine cannot take is refused and changes nothing") {
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  const LanguageModel model = LanguageModel::open(folder.path());
  CHECK(error_of([&] { Engine(model, {.room = -1}); }).find("0 has room for") != std::string::npos);
  for (const bool independent : {false, true}) {
    const std::int64_t most = std::numeric_limits<std::int64_t>::max();
    const std::string text =
        error_of([&] { Engine(model, {.room = most, .independent = independent}); });
    CHECK(text.starts_with("engine: got room for 9223372036854775807 positions"));
  }
  Engine engine(model, {.room = 30});
  CHECK(error_of([&] { engine.begin(301); }).find("context of 300") != std::string::npos);
  CHECK(error_of([&] { engine.begin(-1); }).find("context of 300") != std::string::npos);
  CHECK(error_of([&] { engine.begin(31); }).find("31 free positions") != std::string::npos);
  CHECK(!engine.fits(31));
  CHECK(!engine.fits(std::numeric_limits<std::int64_t>::max()));
  CHECK(!engine.fits());  // 300, as begin() would take it
  CHECK(engine.fits(30));
  for (const std::int64_t none : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()})
    CHECK(error_of([&] { engine.options().taken(none); }).find("count of") != std::string::npos);
  const SequenceId first = engine.begin(10), second = engine.begin(10);
  const auto good = some_ids(4, 40), full = some_ids(11, 40);
  const auto error = [&](SequenceId sequence, std::span<const TokenId> ids) {
    return error_of([&] { engine.step(std::vector<Request>{{first, good}, {sequence, ids}}); });
  };
  CHECK(error(second, full).find("11 tokens after 0") != std::string::npos);
  CHECK(error(second, full).find("at most 10 together") != std::string::npos);
  CHECK(error(second, {}).find("without a token") != std::string::npos);
  CHECK(error(second, {{40}}).find("id below 40") != std::string::npos);
  CHECK(error(second, {{-1}}).find("id -1") != std::string::npos);
  for (const SequenceId none : {kNoSequence, SequenceId{2}, SequenceId{1} << 40})
    CHECK(error(none, good).find("one that was begun") != std::string::npos);
  CHECK(error_of([&] { engine.rewind(first, 1); }).find("rewind") != std::string::npos);
  CHECK(engine.position(first) == 0);
  for (const std::vector<std::int64_t>& rows : {std::vector<std::int64_t>{4}, {-1}, {1, 1}, {2, 1}})
    CHECK(error_of([&] {
            engine.step(std::vector<Request>{{first, good}}, rows);
          }).find("rows that do not ascend") != std::string::npos);
  engine.step({first, some_ids(10, 40)});
  CHECK(error_of([&] {
          engine.step({first, {{1}}});
        }).find("1 tokens after 10") != std::string::npos);
  engine.end(first);
  CHECK(error_of([&] { engine.position(first); }).find("one that was begun") != std::string::npos);
}

TEST_CASE("a sequence that others continue stays as long as they do") {
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  for (const bool independent : {false, true}) {
    Engine engine(LanguageModel::open(folder.path()), {.room = 1280, .independent = independent});
    const SequenceId parent = engine.begin(40);
    engine.step({parent, some_ids(20, 40)});
    const SequenceId child = engine.begin(300, parent);
    CHECK(engine.position(child) == 20);
    CHECK(error_of([&] { engine.end(parent); }).find("others continue") != std::string::npos);
    CHECK(error_of([&] { engine.rewind(parent, 5); }).find("others continue") != std::string::npos);
    engine.step({child, some_ids(6, 40)});
    engine.step({parent, some_ids(20, 40)});  // of which the child knows nothing
    CHECK(engine.position(child) == 26);
    CHECK(error_of([&] { engine.rewind(child, 19); }).find("20 to 26") != std::string::npos);
    engine.rewind(child, 20);
    CHECK(error_of([&] {
            engine.step({child, some_ids(281, 40)});
          }).find("model's context") != std::string::npos);
    engine.end(child);
    engine.rewind(parent, 5);
    engine.end(parent);
    CHECK(engine.fits(1280));
  }
}

TEST_CASE("who continues a sequence without tokens continues what that one would") {
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  const LanguageModel model = LanguageModel::open(folder.path());
  const auto ids = some_ids(40, 40);
  for (const bool independent : {false, true}) {
    CAPTURE(independent);
    Engine engine(model, {.room = 2048, .independent = independent});
    /// Takes some of `ids` in, which are those at their positions, and compares with them alone.
    const auto check = [&](SequenceId sequence, std::size_t begin, std::size_t end) {
      CHECK(engine.position(sequence) == static_cast<std::int64_t>(begin));
      const auto found = engine.step({sequence, std::span(ids).first(end).subspan(begin)});
      CHECK(engine.position(sequence) == static_cast<std::int64_t>(end));
      Alone alone(model, {.independent = independent});
      auto expected = alone.step(std::span(ids).first(end));
      expected.erase(expected.begin(), expected.end() - static_cast<std::ptrdiff_t>(found.size()));
      if (independent) CHECK(found == expected);
      CHECK(worst_difference(found, expected) < 2e-5);
    };
    const SequenceId first = engine.begin(40);
    check(first, 0, 20);
    const SequenceId empty = engine.begin(40, first), other = engine.begin(40, empty);
    const SequenceId last = engine.begin(40, other);  // after two of them
    check(last, 20, 26);
    check(other, 20, 23);
    check(first, 20, 22);  // what begun sequences know nothing of
    check(empty, 22, 25);
    check(other, 23, 30);
    check(last, 26, 28);
    for (const SequenceId sequence : {last, other, empty, first}) engine.end(sequence);
    CHECK(engine.fits(2048));
  }
}

TEST_CASE("requests of one sequence in one step continue it in their order") {
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  const LanguageModel model = LanguageModel::open(folder.path());
  const auto ids = some_ids(290, 40);  // more than a pass
  const std::span<const TokenId> all(ids);
  for (const bool independent : {false, true}) {
    const EngineOptions options{.room = 640, .independent = independent};
    Alone together(model, options), apart(model, options);
    Request one{together.sequence, all.first(7)}, two{together.sequence, all.subspan(7, 250)},
        three{together.sequence, all.subspan(257)};
    const auto found = together.engine.next_logits(std::vector{one, two, three});
    std::vector<float> expected;
    for (const Request& request : {one, two, three}) {
      const auto logits = apart.next_logits(request.ids);
      expected.insert(expected.end(), logits.begin(), logits.end());
    }
    if (independent) CHECK(found == expected);
    CHECK(worst_difference(found, expected) < 2e-4);
    CHECK(together.position() == 290);
  }
}

TEST_CASE("room that was given back is one piece again") {
  Places places(100);
  CHECK(places.take(30) == 0);
  CHECK(places.take(30) == 30);
  CHECK(places.take(30) == 60);
  CHECK(!places.take(11));
  places.give(0, 30);
  places.give(60, 30);
  CHECK(!places.has(41));
  CHECK(places.take(35) == 60);  // the first that holds so many
  CHECK(places.take(30) == 0);
  places.give(0, 30);
  places.give(30, 30);
  places.give(60, 35);
  CHECK(places.take(100) == 0);
  CHECK(!places.take(1));
}

TEST_CASE("a model file that is cut or written to while it is mapped is an error") {
  namespace fs = std::filesystem;
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  const fs::path file = folder.path() / "model.safetensors";
  const auto run = [](const LanguageModel& model) {
    return error_of([&] { Alone(model).step({{1}}); });
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

TEST_CASE("a model file that is cut while a model runs is an error of the step") {
  namespace fs = std::filesystem;
  const auto ids = some_ids(256, 40);
  for (int round = 0; round < 10; ++round) {
    const TempFolder folder;
    testing::write_tiny_llama(folder.path());
    const LanguageModel model = LanguageModel::open(folder.path());
    Alone alone(model);
    std::thread cutter([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(700 * round));
      fs::resize_file(folder.path() / "model.safetensors", 100);
    });
    std::string text = "no error";
    while (text == "no error") {
      alone.rewind(0);
      text = error_of([&] { alone.next_logits(ids); });
    }
    cutter.join();
    CHECK(text.find("model.safetensors") != std::string::npos);
    CHECK(text.find("something cut it") != std::string::npos);
    CHECK(alone.position() == 0);
  }
}

TEST_CASE("an 8-bit cache changes states a little") {
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  const LanguageModel model = LanguageModel::open(folder.path());
  const auto ids = some_ids(290, 40);
  Alone exact(model), small(model, {.cache = CacheType::q8});
  CHECK(worst_difference(exact.step(ids), small.step(ids)) < 0.1);
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
    Alone half(model, {.cache = CacheType::f16}), exact(model),
        small(model, {.cache = CacheType::q8});
    const auto ids = some_ids(290, 40);
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
    Alone alone(model);
    const std::string text = error_of([&] { alone.next_logits({{3}}); });
    if (std::isnan(bad)) CHECK(text.find("NaN or infinite") != std::string::npos);
    // 3e38 overflows unless the state happens to be small; either way nothing but a number comes
    // out.
    CHECK(alone.position() == (text == "no error" ? 1 : 0));
    if (text == "no error") {
      alone.rewind(0);
      for (const float logit : alone.next_logits({{3}})) CHECK(std::isfinite(logit));
    }
  }
}

}  // namespace
}  // namespace karat
