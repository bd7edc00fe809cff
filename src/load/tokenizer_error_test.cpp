// Tokenizer files that are absent, malformed, contradictory or beyond what Karat understands: one
// clear error each.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/file.h"
#include "core/temporary.h"
#include "karat/error.h"
#include "karat/tokenizer.h"

using namespace karat;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

std::string error_in(const char* file, const std::string& content) {
  const TemporaryFolder folder;
  write_file(folder.path / file, content);
  try {
    Tokenizer::open(folder.path);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

json good() {
  return json::parse(R"({"version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 4, "content": "<s>", "special": true}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<unk>": 3},
              "merges": [["a", "b"]], "unk_token": "<unk>"}})");
}

// The error of good() with `value` at `pointer`.
std::string error_with(const char* pointer, const json& value) {
  json file = good();
  file[json::json_pointer(pointer)] = value;
  return error_in("tokenizer.json", file.dump());
}

bool says(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != text.npos;
  if (!found) MESSAGE(text << " | lacks | " << part);
  return found;
}

}  // namespace

TEST_CASE("the good file is good") {
  const TemporaryFolder folder;
  write_file(folder.path / "tokenizer.json", good().dump());
  const Tokenizer tokenizer = Tokenizer::open(folder.path);
  CHECK(tokenizer.encode("ab<s>ba?") == std::vector<TokenId>{2, 4, 1, 0, 3});
  CHECK(tokenizer.decode(std::vector<TokenId>{2, 4, 1}) == "abb");
}

TEST_CASE("a folder without tokenizer") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH_AS(Tokenizer::open(folder.path),
                       doctest::Contains("expected tokenizer.json or tokenizer.model"), Error);
  CHECK_THROWS_AS(Tokenizer::open(folder.path / "absent"), Error);
}

TEST_CASE("files that are not JSON, or not a tokenizer") {
  CHECK(says(error_in("tokenizer.json", ""), "expected well-formed JSON"));
  CHECK(says(error_in("tokenizer.json", R"({"model": )"), "expected well-formed JSON"));
  CHECK(
      says(error_in("tokenizer.json", good().dump().substr(0, 200)), "expected well-formed JSON"));
  CHECK(says(error_in("tokenizer.json", "{\"\xff\": 1}"), "expected well-formed JSON"));
  CHECK(says(error_in("tokenizer.json", "[]"), "expected an object"));
  CHECK(says(error_in("tokenizer.json", "{}"), "no model"));
  CHECK(says(error_in("tokenizer.json", std::string(1 << 20, '[')), "expected a flat document"));
  CHECK(says(error_in("tokenizer.model", ""), "sentencepiece model"));
  CHECK(says(error_in("tokenizer.model", "not a protobuf"), "sentencepiece model"));
}

TEST_CASE("ids: out of range, twice, contradictory") {
  CHECK(says(error_with("/model/vocab/b", 0), "id 0 for “a” and for “b”"));
  CHECK(says(error_with("/model/vocab/b", -1), "id -1 of token “b”"));
  CHECK(says(error_with("/model/vocab/b", 1 << 30), "id 1073741824 of token “b”"));
  CHECK(says(error_with("/model/vocab/b", 18446744073709551615u), "less than 4194304"));
  CHECK(says(error_with("/model/vocab/b", 1.5), "id 1.5 of “b”"));
  CHECK(says(error_with("/model/vocab/b", "1"), "id \"1\" of “b”"));
  CHECK(says(error_with("/added_tokens/0/id", 1), "id 1 for “<s>”"));
  CHECK(says(error_with("/added_tokens/0/id", -4), "id -4"));
  CHECK(says(error_with("/added_tokens/0/id", 1LL << 40), "id 1099511627776"));
  CHECK(says(error_with("/added_tokens/0/content", "a"), "id 4 for “a”"));
  CHECK(says(error_with("/added_tokens/1", {{"id", 4}, {"content", "</s>"}}),
             "id 4 for “<s>” and for “</s>”"));
  CHECK(says(error_with("/added_tokens/1", {{"id", 5}, {"content", "<s>"}}),
             "ids 4 and 5 for “<s>”"));
}

TEST_CASE("vocabulary and merges that do not fit") {
  CHECK(says(error_with("/model/merges/0", {"a", "c"}), "“c” in merge 0"));
  CHECK(says(error_with("/model/merges/0", {"b", "a"}), "“ba” in merge 0"));
  CHECK(says(error_with("/model/merges/0", "a b c"), "left right"));
  CHECK(says(error_with("/model/merges/0", "ab"), "left right"));
  CHECK(says(error_with("/model/merges/0", {"a", "b", "c"}), "left right"));
  CHECK(says(error_with("/model/merges/0", 7), "left right"));
  CHECK(says(error_with("/model/merges", 7), "expected an array"));
  CHECK(says(error_with("/model/vocab", json::array()), "expected an object of token: id"));
  CHECK(says(error_with("/model/unk_token", "<none>"), "expected a token of vocab"));
}

TEST_CASE("what Karat does not understand is named") {
  const auto named = [](const char* pointer, const json& value, const char* name) {
    CHECK(says(error_with(pointer, value), name));
  };
  named("/model/type", "Unigram", "model type Unigram");
  named("/model/dropout", 0.1, "0.1");
  named("/model/end_of_word_suffix", "</w>", "model.end_of_word_suffix: \"</w>\"");
  named("/model/continuing_subword_prefix", "##", "##");
  named("/model/new_option", true, "new_option");
  named("/new_part", json::object(), "new_part");
  named("/normalizer", {{"type", "Lowercase"}}, "normalizer Lowercase");
  named("/normalizer", {{"type", "Prepend"}, {"prepend", "▁"}, {"when", 1}}, "when");
  named("/pre_tokenizer", {{"type", "UnicodeScripts"}}, "pre-tokenizer UnicodeScripts");
  named("/pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "x"}},
        "prepend_scheme x");
  named("/decoder", {{"type", "CTC"}}, "decoder CTC");
  named("/post_processor", {{"type", "BertProcessing"}}, "post-processor BertProcessing");
  named("/pre_tokenizer", {{"pattern", 1}}, "no type");
  named("/pre_tokenizer", "ByteLevel", "pre_tokenizer: \"ByteLevel\"");
  named("/model/byte_fallback", "yes", "model.byte_fallback: \"yes\"");
}

TEST_CASE("parts that contradict themselves") {
  const json split = {{"type", "Split"}, {"behavior", "Isolated"}, {"invert", false}};
  const auto with = [](json base, const char* key, const json& value) {
    base[key] = value;
    return base;
  };
  CHECK(says(error_with("/pre_tokenizer", with(split, "pattern", {{"Regex", "(a"}})), "“(a”"));
  CHECK(says(error_with("/pre_tokenizer", with(split, "pattern", {{"String", ""}})),
             "an empty string"));
  CHECK(says(error_with("/pre_tokenizer", split), "no pattern"));
  const json space = {{"String", " "}};
  CHECK(says(error_with("/pre_tokenizer", with(with(split, "pattern", space), "behavior", "Glued")),
             "Glued"));
  json nested = {{"type", "Digits"}};
  for (int i = 0; i < 20; ++i)
    nested = {{"type", "Sequence"}, {"pretokenizers", json::array({nested})}};
  CHECK(says(error_with("/pre_tokenizer", nested), "deeply nested"));
  json frame = {{"type", "TemplateProcessing"}, {"special_tokens", json::object()}};
  frame["single"] = json::parse(R"([{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}])");
  CHECK(says(error_with("/post_processor", frame), "no <s>"));
  frame["special_tokens"]["<s>"] = {{"ids", {99}}};
  CHECK(says(error_with("/post_processor", frame), "post_processor: id 99"));
  frame["single"] = json::array();
  CHECK(says(error_with("/post_processor", frame), "without sequence A"));
}
