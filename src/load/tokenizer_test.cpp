// Ids and decoded texts against Hugging Face's, dumped by tools/dump_tokenizers.py; streams; speed.
#include "karat/tokenizer.h"

#include <doctest/doctest.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "core/temporary.h"
#include "karat/error.h"
#include "load/tokenizer_testing.h"
#include "load/tokenizer_text.h"
#include "tests/shared.h"

using namespace karat;
using karat::testing::check_against;
using karat::testing::kTokenizerFixtures;
using karat::testing::missing;
using karat::testing::shared;
using karat::testing::texts;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

const char* const kOurs[] = {"gpt2",      "llama3", "qwen2",        "llama2",
                             "metaspace", "smollm", "sentencepiece"};

// GPT-2 is published as vocab.json and merges.txt; this is its tokenizer.json.
json gpt2_json(const fs::path& folder) {
  std::vector<std::string> merges;
  std::istringstream lines(read_text(folder / "merges.txt"));
  for (std::string line; std::getline(lines, line);)
    if (!line.empty()) merges.push_back(line);  // "#version" too: it must be skipped
  return {
      {"version", "1.0"},
      {"added_tokens", {{{"id", 50256}, {"content", "<|endoftext|>"}, {"special", true}}}},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"vocab", json::parse(read_text(folder / "vocab.json"))}, {"merges", merges}}}};
}

}  // namespace

TEST_CASE("every kind of tokenizer gives the ids and texts of Hugging Face") {
  for (const char* name : kOurs)
    check_against(Tokenizer::open(kTokenizerFixtures / name),
                  kTokenizerFixtures / name / "expected.json");
}

TEST_CASE("the published GPT-2 tokenizer" * doctest::test_suite("shared")) {
  const fs::path folder = shared("data/tokenizers/gpt2");
  if (missing(folder)) return;
  const TemporaryFolder temporary;
  write_file(temporary.path / "tokenizer.json", gpt2_json(folder).dump());
  check_against(Tokenizer::open(temporary.path), kTokenizerFixtures / "real/gpt2.json");
}

TEST_CASE("the published Llama-2 and stories260K tokenizer.model, through sentencepiece" *
          doctest::test_suite("shared")) {
  const std::pair<const char*, fs::path> models[] = {
      {"llama2", shared("data/tokenizers/llama2")},
      {"stories260k", shared("models/stories260K/hf")}};
  for (const auto& [name, folder] : models) {
    if (missing(folder)) continue;
    check_against(Tokenizer::open(folder),
                  kTokenizerFixtures / ("real/" + std::string(name) + ".json"));
  }
}

TEST_CASE("tokenizer_config.json beside tokenizer.model: BOS, EOS, legacy, added tokens" *
          doctest::test_suite("shared")) {
  const fs::path model = shared("data/tokenizers/llama2/tokenizer.model");
  if (missing(model)) return;
  const TemporaryFolder temporary;
  fs::copy(model, temporary.path);
  const auto open_with = [&](const json& config) {
    write_file(temporary.path / "tokenizer_config.json", config.dump());
    return Tokenizer::open(temporary.path);
  };
  const json end = {{"32000", {{"content", "<|end|>"}, {"rstrip", true}, {"special", true}}}};
  const Tokenizer plain =
      open_with({{"add_bos_token", false}, {"add_eos_token", true}, {"legacy", false}});
  CHECK(!plain.bos());
  // After a special token, "hi" is the piece without a space in front; at the start it is not.
  CHECK(plain.encode("<s>hi") == std::vector<TokenId>{1, 2918, 2});
  CHECK(plain.encode("hi", false) == std::vector<TokenId>{7251});
  CHECK(plain.decode(std::vector<TokenId>{1, 7251, 2}) == "hi");

  const Tokenizer added = open_with({{"added_tokens_decoder", end}});
  CHECK(added.encode("hi<|end|>  hi") == std::vector<TokenId>{1, 7251, 32000, 7251});
  CHECK(added.vocab_size() == 32001);
  CHECK(added.find("<|end|>") == 32000);
  const json lie = {{"5", {{"content", "<|end|>"}}}};
  CHECK_THROWS_AS(open_with({{"added_tokens_decoder", lie}}), Error);
}

TEST_CASE("find() knows exact tokens only") {
  const Tokenizer tokenizer = Tokenizer::open(kTokenizerFixtures / "llama3");
  CHECK(tokenizer.find("<|begin_of_text|>") == tokenizer.bos());
  CHECK(tokenizer.find("a").has_value());
  CHECK(!tokenizer.find("<|begin_of_text|> "));
  CHECK(!tokenizer.find(""));
}

TEST_CASE("ids that are no token decode to nothing") {
  const Tokenizer tokenizer = Tokenizer::open(kTokenizerFixtures / "gpt2");
  const TokenId a = tokenizer.find("a").value();
  const std::vector<TokenId> ids{-1, a, 1 << 30, static_cast<TokenId>(tokenizer.vocab_size()), a};
  CHECK(tokenizer.decode(ids) == "aa");
  CHECK(tokenizer.decode({}) == "");
}

TEST_CASE("malformed UTF-8 counts as U+FFFD") {
  const Tokenizer tokenizer = Tokenizer::open(kTokenizerFixtures / "gpt2");
  const auto same = [&](const char* malformed, const char* repaired) {
    CHECK(tokenizer.encode(malformed) == tokenizer.encode(repaired));
  };
  same("a\xFFz", "a\uFFFDz");
  same("\xE6\xBC", "\uFFFD");                  // cut off: one for what could have begun a 漢
  same("\xC0\xAF", "\uFFFD\uFFFD");            // overlong
  same("\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD");  // surrogate
  same("\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD");  // beyond U+10FFFF
  same("\xF0\x9F\x98 x", "\uFFFD x");
}

TEST_CASE("a stream's pieces and its rest are the decoded whole") {
  for (const char* name : kOurs) {
    const Tokenizer tokenizer = Tokenizer::open(kTokenizerFixtures / name);
    for (const std::string& text : texts()) {
      const auto ids = tokenizer.encode(text);
      TokenStream stream(tokenizer);
      std::string joined;
      for (const TokenId id : ids) {
        const std::string piece = stream.push(id);
        CHECK(valid_utf8(piece) == piece);
        joined += piece;
      }
      joined += stream.finish();
      CAPTURE(name);
      CAPTURE(text);
      CHECK(joined == tokenizer.decode(ids));
    }
  }
}

TEST_CASE("a stream holds back an unfinished character and shows it once it is complete") {
  const Tokenizer tokenizer = Tokenizer::open(kTokenizerFixtures / "llama2");
  const auto byte = [&](const char* token) { return tokenizer.find(token).value(); };
  TokenStream stream(tokenizer);
  CHECK(stream.push(byte("<0xE6>")) == "");
  CHECK(stream.push(byte("<0xBC>")) == "");
  CHECK(stream.push(byte("<0xA2>")) == "漢");
  CHECK(stream.push(byte("<0xE6>")) == "");
  CHECK(stream.finish() == "\uFFFD\uFFFD\uFFFD\uFFFD");  // the whole run of bytes is malformed now
  CHECK(stream.finish() == "");
  CHECK(stream.push(tokenizer.bos().value()) == "");
  CHECK(stream.push(tokenizer.find("▁").value()) == "");  // the first space is not part of the text
  CHECK(stream.push(tokenizer.find("a").value()) == "a");
}

TEST_CASE("a long text without a place to split takes seconds, not hours") {
  const std::string letters(1 << 20, 'a'), spaces = std::string(1 << 20, ' ') + "x";
  for (const char* name : kOurs) {
    const Tokenizer tokenizer = Tokenizer::open(kTokenizerFixtures / name);
    for (const std::string& text : {letters, spaces}) {
      const std::clock_t start = std::clock();  // of this process, whatever else the machine does
      const auto ids = tokenizer.encode(text, false);
      CHECK(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC < 20);
      // metaspace collapses spaces, smollm adds one in front
      if (std::string_view(name) != "metaspace" && std::string_view(name) != "smollm")
        CHECK(tokenizer.decode(ids) == text);
    }
  }
}

TEST_CASE("files() names what is there, for copying") {
  const auto files = Tokenizer::files(kTokenizerFixtures / "gpt2");
  CHECK(files == std::vector<fs::path>{kTokenizerFixtures / "gpt2/tokenizer.json"});
  CHECK(Tokenizer::files(kTokenizerFixtures).empty());
}
