#include "karat/generate.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "run/stop_texts.h"
#include "run/testing.h"

namespace karat {
namespace {

using testing::error_of;
using testing::TempFolder;

const std::filesystem::path kTinyModel =
    std::filesystem::path(KARAT_SOURCE_DIR) / "models" / "karat-tiny";

/// karat-tiny, and an engine with room for a context.
struct Tiny {
  LanguageModel model = LanguageModel::open(kTinyModel);
  Tokenizer tokenizer = Tokenizer::open(kTinyModel);
  Engine engine{model};
  Generated write(Generation wanted) { return generate(engine, tokenizer, std::move(wanted)); }
  Generation greedy(std::int64_t tokens) const {
    return {.prompt = tokenizer.encode("The captain"),
            .max_new = tokens,
            .sampling = {.temperature = 0}};
  }
};

TEST_CASE("a text is what its tokens decode to after the prompt, in pieces") {
  Tiny tiny;
  Generation wanted = tiny.greedy(30);
  std::string pieces;
  wanted.on_piece = [&](std::string_view piece) {
    pieces += piece;
    return true;
  };
  const Generated written = tiny.write(wanted);
  CHECK(written.ending == Ending::length);
  CHECK(written.ids.size() == 30);
  CHECK(written.steps == 29);
  CHECK(written.text == pieces);
  std::vector<TokenId> all = wanted.prompt;
  all.insert(all.end(), written.ids.begin(), written.ids.end());
  CHECK("The captain" + written.text == tiny.tokenizer.decode(all));
  wanted.after_prompt = false;
  CHECK(tiny.write(wanted).text == tiny.tokenizer.decode(written.ids));
}

TEST_CASE("a text ends before a stop text, at a stop token, at the context or when told to") {
  Tiny tiny;
  const Generated plain = tiny.write(tiny.greedy(40));
  Generation wanted = tiny.greedy(40);
  // A stop text that begins and ends inside tokens, and one that only begins to come.
  const std::string stop = plain.text.substr(plain.text.size() / 2, 5);
  wanted.stop_texts = {stop + "never", stop, ""};
  const Generated stopped = tiny.write(wanted);
  CHECK(stopped.ending == Ending::text);
  CHECK(stopped.stop_text == stop);
  CHECK(stopped.text == plain.text.substr(0, plain.text.find(stop)));
  CHECK(stopped.ids.size() < plain.ids.size());
  wanted.stop_texts = {plain.text.substr(plain.text.size() - 3) + "never"};
  CHECK(tiny.write(wanted).text == plain.text);  // nothing that was held back is lost

  wanted = tiny.greedy(40);
  wanted.stop_tokens = std::vector<TokenId>{plain.ids[7]};
  const auto first = std::ranges::find(plain.ids, plain.ids[7]) - plain.ids.begin();
  const Generated ended = tiny.write(wanted);
  CHECK(ended.ending == Ending::eos);
  CHECK(static_cast<std::ptrdiff_t>(ended.ids.size()) == first);

  wanted = tiny.greedy(1 << 20);
  wanted.stop_tokens = std::vector<TokenId>{};
  wanted.prompt.resize(static_cast<std::size_t>(tiny.model.architecture().max_positions - 2), 5);
  const Generated full = tiny.write(wanted);
  CHECK(full.ending == Ending::context);
  CHECK(full.ids.size() == 3);  // the last one has no place, and is known all the same

  int calls = 0;
  wanted.on_piece = [&](std::string_view) { return ++calls < 1; };
  const Generated cancelled = tiny.write(wanted);  // while the prompt is read
  CHECK(cancelled.ending == Ending::cancelled);
  CHECK(cancelled.ids.empty());
  CHECK(tiny.engine.fits(tiny.model.architecture().max_positions));  // nobody is left
}

/// Weights that write `order` token by token, whatever came before: blocks that add nothing, and a
/// head whose row for a token is the embedding of the one before it.
void write_chain(const std::filesystem::path& folder, const std::vector<TokenId>& order) {
  nlohmann::json config = testing::tiny_config();
  config["vocab_size"] = 701;  // the tokenizer's
  config["hidden_size"] = 128;
  std::ofstream(folder / "config.json") << config.dump();
  auto tensors = testing::random_weights(folder);
  const auto named = [&](std::string_view name) {
    return std::ranges::find(tensors, name, &OwnedTensor::name);
  };
  for (OwnedTensor& tensor : tensors)
    if (tensor.name.find("proj") != std::string::npos || tensor.name == "lm_head.weight")
      std::ranges::fill(tensor.data, std::byte{});
  constexpr std::ptrdiff_t kRow = 128 * sizeof(float);
  for (std::size_t i = 0; i + 1 < order.size(); ++i)
    std::copy_n(named("model.embed_tokens.weight")->data.begin() + order[i] * kRow, kRow,
                named("lm_head.weight")->data.begin() + order[i + 1] * kRow);
  testing::write_model(folder, config, tensors);
}

TEST_CASE("a text that ends inside a character says so with U+FFFD, however it ends") {
  const auto tokenizer = Tokenizer::open(KARAT_SOURCE_DIR "/tests/fixtures/tokenizers/gpt2");
  const auto byte = [&](const char* token) { return tokenizer.find(token).value(); };
  const TokenId a = byte("a"), end = 700;
  const std::vector<TokenId> half{byte("\u00C3"), byte("\u00A9"), byte("\u00F0")};  // é, and more
  TempFolder folder;
  write_chain(folder.path(), {a, half[0], half[1], half[2], end});
  Engine engine(LanguageModel::open(folder.path()));
  std::string pieces;
  Generation wanted{.prompt = {a}, .max_new = 3, .sampling = {.temperature = 0}};
  wanted.stop_tokens = std::vector<TokenId>{end};
  wanted.on_piece = [&](std::string_view piece) {
    pieces += piece;
    return true;
  };
  for (const auto& [most, ending] : {std::pair{3, Ending::length}, {9, Ending::eos}}) {
    pieces.clear();
    wanted.max_new = most;
    const Generated written = generate(engine, tokenizer, wanted);
    CHECK(written.ids == half);
    CHECK(written.ending == ending);
    CHECK(written.text == "\u00E9\uFFFD");
    CHECK(pieces == written.text);
  }
  wanted.stop_texts = {"\uFFFD"};  // may be what the rest completes
  CHECK(generate(engine, tokenizer, wanted).ending == Ending::text);
}

TEST_CASE("long prompts are read in pieces, with the same result") {
  Tiny tiny;
  Generation wanted = tiny.greedy(3);
  while (wanted.prompt.size() < 300)
    wanted.prompt.push_back(static_cast<TokenId>(wanted.prompt.size() % 40));
  const Generated written = tiny.write(wanted);
  testing::Alone alone(tiny.model);
  const std::vector<float> logits = alone.next_logits(wanted.prompt);
  CHECK(written.ids[0] == std::ranges::max_element(logits) - logits.begin());
}

TEST_CASE("texts that are written together are those written alone, seeds and all") {
  Tiny tiny;
  EngineOptions options{.independent = true};
  options.room = 3 * options.taken(60);
  Engine together(tiny.model, options);
  std::vector<Generation> all;
  for (std::uint64_t i = 0; i < 7; ++i) {
    all.push_back(tiny.greedy(static_cast<std::int64_t>(10 + 5 * i)));
    all.back().sampling = {.temperature = 0.9, .seed = i};
    all.back().stop_texts = {"."};
  }
  std::vector<Generated> found(all.size());
  Generator generator(together, tiny.tokenizer);
  for (std::size_t i = 0; i < 4; ++i)
    generator.add(all[i], [&, i](Generated written) { found[i] = std::move(written); });
  for (int step = 0; step < 5; ++step) generator.step();
  for (std::size_t i = 4; i < all.size(); ++i)  // later, while others are written
    generator.add(all[i], [&, i](Generated written) { found[i] = std::move(written); });
  while (generator.busy()) generator.step();
  for (std::size_t i = 0; i < all.size(); ++i) {
    Engine alone(tiny.model, {.room = 128, .independent = true});
    const Generated plain = generate(alone, tiny.tokenizer, all[i]);
    CHECK(found[i].ids == plain.ids);
    CHECK(found[i].text == plain.text);
    CHECK(found[i].ending == plain.ending);
  }
}

TEST_CASE("what cannot be written is refused when it is asked for") {
  Tiny tiny;
  const auto error = [&](auto change) {
    Generation wanted = tiny.greedy(5);
    change(wanted);
    return error_of([&] { tiny.write(wanted); });
  };
  CHECK(error([](Generation& g) { g.prompt.clear(); }).find("no token") != std::string::npos);
  CHECK(error([](Generation& g) { g.prompt.resize(1 << 20); }).find("context") !=
        std::string::npos);
  CHECK(error([](Generation& g) { g.max_new = 0; }).find("max-new") != std::string::npos);
  CHECK(error([](Generation& g) { g.sampling.top_p = 2; }).find("top-p") != std::string::npos);
  CHECK(error([](Generation& g) { g.prompt = {1 << 30}; }).find("token id") != std::string::npos);
}

TEST_CASE("a text that no room is enough for is refused, and the others are written") {
  Tiny tiny;
  for (const bool independent : {false, true}) {
    EngineOptions options{.independent = independent};
    options.room = options.taken(60);
    Engine engine(tiny.model, options);
    Generator generator(engine, tiny.tokenizer);
    const auto none = [](Generated) {};
    Generation large = tiny.greedy(5);
    large.prompt.resize(100, 5);
    const std::string text = error_of([&] { generator.add(large, none); });
    CHECK(text.find("the engine's room") != std::string::npos);
    CHECK(error_of([&] { generator.add(tiny.greedy(70), none); }) != "no error");
    CHECK(!generator.busy());
    Generated found;
    generator.add(tiny.greedy(20), [&](Generated written) { found = std::move(written); });
    while (generator.busy()) CHECK(generator.step());
    CHECK(found.ids.size() == 20);
  }
}

TEST_CASE("a text waits for room that sequences of others hold") {
  Tiny tiny;
  const Generated plain = tiny.write(tiny.greedy(20));
  Engine engine(tiny.model, {.room = 60});
  const SequenceId other = engine.begin(50);
  const std::string text = error_of([&] { generate(engine, tiny.tokenizer, tiny.greedy(20)); });
  CHECK(text.find("no room for the text") != std::string::npos);
  Generator generator(engine, tiny.tokenizer);
  CHECK(!generator.step());  // nothing to do
  Generated found;
  generator.add(tiny.greedy(20), [&](Generated written) { found = std::move(written); });
  CHECK(!generator.step());
  CHECK(generator.busy());
  engine.end(other);
  while (generator.busy()) CHECK(generator.step());
  CHECK(found.ids == plain.ids);
}

TEST_CASE("a text whose caller throws is over, and the others are what they are alone") {
  Tiny tiny;
  EngineOptions options{.independent = true};
  options.room = 3 * options.taken(60);
  Engine engine(tiny.model, options);
  const Generated plain = generate(engine, tiny.tokenizer, tiny.greedy(20));
  Generator generator(engine, tiny.tokenizer);
  std::vector<Generated> found(3);
  for (std::size_t i = 0; i < 3; ++i) {
    Generation wanted = tiny.greedy(i == 2 ? 20 : 6);
    int pieces = 0;
    if (i == 0)
      wanted.on_piece = [pieces](std::string_view) mutable {
        return ++pieces == 6 ? throw std::runtime_error("a piece") : true;
      };
    generator.add(wanted, [&found, i](Generated written) {
      found[i] = std::move(written);
      if (i == 1) throw std::runtime_error("a text");
    });
  }
  std::vector<std::string> thrown;
  while (generator.busy()) {
    try {
      generator.step();
    } catch (const std::runtime_error& error) {
      thrown.emplace_back(error.what());
    }
  }
  CHECK(thrown == std::vector<std::string>{"a piece"});  // the first of the step
  CHECK(found[0].ids.empty());
  CHECK(found[1].ids.size() == 6);
  CHECK(found[2].ids == plain.ids);
  CHECK(found[2].text == plain.text);
  CHECK(engine.fits(options.room));
}

TEST_CASE("stop texts hold back what may belong to one") {
  StopTexts stops({"abc", "bx", "\n\n"});
  CHECK(stops.push("1a") == "1");
  CHECK(stops.push("b") == "");
  CHECK(stops.push("a") == "ab");
  CHECK(stops.push("\n") == "a");
  CHECK(stops.push("b") == "\n");
  CHECK(stops.stopped().empty());
  CHECK(stops.push("xyz") == "");
  CHECK(stops.stopped() == "bx");
  CHECK(stops.push("more") == "");
  CHECK(stops.finish() == "");
  StopTexts open({"abc"});
  CHECK(open.push("xab") == "x");
  CHECK(open.finish() == "ab");
}

TEST_CASE("scores of prompt and text are those of whole rows, alone and among others") {
  Tiny tiny;
  tiny.engine = Engine(tiny.model, {.room = 4096, .independent = true});
  Generation wanted = tiny.greedy(4);
  for (int i = 0; i < 7; ++i) {  // a prompt of several pieces
    const std::vector<TokenId> copy = wanted.prompt;
    if (copy.size() < 300) wanted.prompt.insert(wanted.prompt.end(), copy.begin(), copy.end());
  }
  wanted.alternatives = 2;
  wanted.score_prompt = true;
  const Generated alone = tiny.write(wanted);
  std::vector<TokenId> all = wanted.prompt;
  all.insert(all.end(), alone.ids.begin(), alone.ids.end());
  const SequenceId sequence = tiny.engine.begin();
  const std::vector<float> states = tiny.engine.step({sequence, all});
  tiny.engine.end(sequence);
  const auto vocab = static_cast<std::size_t>(tiny.model.architecture().vocab);
  std::vector<float> logits(all.size() * vocab);
  tiny.engine.logits(states, logits);
  std::vector<TokenScore> found = alone.prompt_scores;
  found.insert(found.end(), alone.scores.begin(), alone.scores.end());
  REQUIRE(found.size() == all.size() - 1);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const TokenScore right =
        score_token(std::span(logits).subspan(i * vocab, vocab), all[i + 1], 2);
    REQUIRE(found[i].id == right.id);
    REQUIRE(found[i].logprob == right.logprob);
    REQUIRE(found[i].top == right.top);
  }
  Generator generator(tiny.engine, tiny.tokenizer);
  std::vector<Generated> many(3);
  for (std::size_t i = 0; i < many.size(); ++i) {
    Generation one = i == 1 ? wanted : tiny.greedy(6);
    if (i == 1) one.max_new = 0;
    generator.add(one, [&many, i](Generated done) { many[i] = std::move(done); });
  }
  while (generator.step()) {
  }
  REQUIRE(many[1].prompt_scores.size() == alone.prompt_scores.size());
  CHECK(many[1].prompt_scores.back().logprob == alone.prompt_scores.back().logprob);
  CHECK(many[1].ids.empty());
  CHECK(many[0].text == tiny.write(tiny.greedy(6)).text);
}

}  // namespace
}  // namespace karat
