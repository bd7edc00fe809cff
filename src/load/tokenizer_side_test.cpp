// The files beside a tokenizer: ids and texts against transformers', dumped by
// tools/dump_added_tokens.py; and what is refused by name.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/file.h"
#include "karat/tokenizer.h"
#include "load/testing.h"
#include "load/tokenizer_side.h"

using namespace karat;
namespace fs = std::filesystem;
using karat::testing::error_of;
using karat::testing::TempFolder;
using nlohmann::ordered_json;  // ids follow the order of keys

namespace {

const fs::path kFixtures = fs::path(KARAT_SOURCE_DIR) / "tests/fixtures/tokenizers";

ordered_json tokenizer_of(const std::string& base) {
  return ordered_json::parse(read_text(kFixtures / base / "tokenizer.json"));
}

std::string merges_of(const ordered_json& model) {
  std::string lines = "#version: 0.2\n";
  for (const ordered_json& merge : model["merges"])
    lines += (merge.is_string() ? merge.get<std::string>()
                                : merge[0].get<std::string>() + " " + merge[1].get<std::string>()) +
             "\n";
  return lines;
}

/// A folder as the script laid it out.
void lay_out(const TempFolder& folder, const ordered_json& one) {
  const std::string base = one["base"], layout = one["layout"];
  if (layout == "model") {
    fs::copy(kFixtures / base / "tokenizer.model", folder.path());
  } else if (layout == "json") {
    folder.write("tokenizer.json", tokenizer_of(base).dump());
  } else {
    const ordered_json model = tokenizer_of(base)["model"];
    folder.write("vocab.json", model["vocab"].dump());
    folder.write("merges.txt", merges_of(model));
  }
  for (const auto& [name, content] : one["files"].items()) folder.write(name, content.dump());
}

void check_folder(const ordered_json& one, const std::vector<std::string>& texts) {
  const TempFolder folder;
  lay_out(folder, one);
  const std::string label = one["base"].get<std::string>() + ": " + one["name"].get<std::string>();
  CAPTURE(label);
  if (one.contains("refused")) {
    const std::string error = error_of([&] { Tokenizer::open(folder.path()); });
    CAPTURE(error);
    CHECK(error.find("for “" + one["refused"].get<std::string>() + "”") != error.npos);
    return;
  }
  const Tokenizer tokenizer = Tokenizer::open(folder.path());
  CHECK(tokenizer.vocab_size() == one["size"].get<std::int64_t>());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    CAPTURE(texts[i]);
    const ordered_json& expected = one["cases"][i];
    if (expected.is_null()) continue;
    const auto ids = expected["ids"].get<std::vector<TokenId>>();
    CHECK(tokenizer.encode(texts[i]) == ids);
    CHECK(tokenizer.decode(ids) == expected["text"].get<std::string>());
    CHECK(tokenizer.decode(ids, false) == expected["special"].get<std::string>());
  }
}

std::string error_beside(const char* file, const std::string& content) {
  const TempFolder folder;
  folder.write("tokenizer.json", tokenizer_of("llama3").dump());
  folder.write(file, content);
  return error_of([&] { Tokenizer::open(folder.path()); });
}

/// The error of a folder that holds this one file of a tokenizer.
std::string error_alone(const char* file, const std::string& content) {
  const TempFolder folder;
  folder.write(file, content);
  return error_of([&] { Tokenizer::open(folder.path()); });
}

void mentions(const std::string& error, const std::string& part) {
  CAPTURE(error);
  CHECK(error.find(part) != error.npos);
}

}  // namespace

TEST_CASE("the files beside a tokenizer are obeyed as transformers does") {
  const ordered_json all = ordered_json::parse(read_text(kFixtures / "added.json"));
  const auto texts = all["texts"].get<std::vector<std::string>>();
  REQUIRE(all["folders"].size() > 100);
  for (const ordered_json& one : all["folders"]) check_folder(one, texts);
}

TEST_CASE("side files that are malformed are errors that name the file") {
  for (const char* file :
       {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}) {
    CAPTURE(file);
    mentions(error_beside(file, "{"), "expected well-formed JSON");
    mentions(error_beside(file, "{"), file);
    mentions(error_beside(file, "[]"), "an object");
  }
  mentions(error_beside("added_tokens.json", R"({"<x>": -1})"), "id -1 of “<x>”");
  mentions(error_beside("added_tokens.json", R"({"<x>": "1"})"), "expected an integer");
  mentions(error_beside("added_tokens.json", R"({"<x>": 99999999})"), "id 99999999 of “<x>”");
  const auto config = [](const char* text) { return error_beside("tokenizer_config.json", text); };
  mentions(config(R"({"bos_token": 1})"), "bos_token: 1, expected a token");
  mentions(config(R"({"bos_token": {"text": "<s>"}})"), "no content");
  mentions(config(R"({"add_bos_token": "yes"})"), "add_bos_token: \"yes\"");
  mentions(config(R"({"added_tokens_decoder": []})"), "an object of id: token");
  mentions(config(R"({"added_tokens_decoder": {"x": {"content": "<x>"}}})"), "key x");
  mentions(config(R"({"extra_special_tokens": [1]})"), "expected a token");
  mentions(config(R"({"split_special_tokens": true})"), "split_special_tokens: true");
}

TEST_CASE("a token of the old name may be an object, where transformers 5 stops") {
  const TempFolder folder;
  folder.write("tokenizer.json", tokenizer_of("llama3").dump());
  folder.write("special_tokens_map.json",
               R"({"additional_special_tokens": [{"content": "<x>", "lstrip": true}]})");
  const Tokenizer tokenizer = Tokenizer::open(folder.path());
  CHECK(tokenizer.encode("a <x>", false).back() == *tokenizer.find("<x>"));
  CHECK(tokenizer.encode("a <x>", false).size() == 2);
}

TEST_CASE("a BOS in the post-processor of tokenizer.json stands whatever add_bos_token says") {
  const TempFolder folder;
  folder.write("tokenizer.json", tokenizer_of("llama3").dump());
  folder.write("tokenizer_config.json", R"({"add_bos_token": false, "add_eos_token": true})");
  const Tokenizer tokenizer = Tokenizer::open(folder.path());
  CHECK(tokenizer.encode("") == std::vector<TokenId>{*tokenizer.find("<|begin_of_text|>")});
}

TEST_CASE("piece() is the inverse of find()") {
  for (const char* base : {"gpt2", "llama2", "metaspace", "sentencepiece"}) {
    const Tokenizer tokenizer = Tokenizer::open(kFixtures / base);
    for (TokenId id = 0; id < tokenizer.vocab_size(); ++id)
      CHECK(tokenizer.find(tokenizer.piece(id).value()) == id);
    CHECK(!tokenizer.piece(-1));
    CHECK(!tokenizer.piece(static_cast<TokenId>(tokenizer.vocab_size())));
  }
}

TEST_CASE("tokenizers of another kind are refused by that kind's name") {
  const auto json_of = [](const ordered_json& model) {
    ordered_json file = tokenizer_of("gpt2");
    file["model"] = model;
    file["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
    return error_alone("tokenizer.json", file.dump());
  };
  const ordered_json pairs =
      ordered_json::array({ordered_json::array({"<unk>", 0.0}), ordered_json::array({"a", -1.5})});
  mentions(json_of({{"type", "Unigram"}, {"unk_id", 0}, {"vocab", pairs}}), "model type Unigram");
  mentions(json_of({{"unk_id", 0}, {"vocab", pairs}}), "model type Unigram");
  mentions(
      json_of({{"type", "WordPiece"}, {"unk_token", "[UNK]"}, {"vocab", ordered_json::object()}}),
      "model type WordPiece");
  mentions(json_of({{"max_input_chars_per_word", 100}, {"vocab", ordered_json::object()}}),
           "model type WordPiece");
  mentions(json_of({{"type", "WordLevel"}, {"vocab", ordered_json::object()}}),
           "model type WordLevel");
  mentions(json_of({{"vocab", ordered_json::object()}}), "model type WordLevel");
  mentions(error_alone("tokenizer.model", "IQ== 0\nIg== 1\n"), "a tiktoken vocabulary");
  mentions(error_alone("tiktoken.model", "IQ== 0\n"), "a tiktoken vocabulary");
  mentions(error_alone("tekken.json", "{}"), "tekken");
  mentions(error_alone("vocab.txt", "[PAD]\n"), "a WordPiece vocabulary");
  mentions(error_alone("vocab.json", "{}"), "without merges.txt");
}

TEST_CASE("vocab.json and merges.txt: another class is refused by its name, as is a bad line") {
  const TempFolder folder;
  const auto error = [&](const char* config, const char* merges) {
    folder.write("vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
    folder.write("merges.txt", merges);
    folder.write("tokenizer_config.json", config);
    return error_of([&] { Tokenizer::open(folder.path()); });
  };
  const char* const gpt2 = R"({"tokenizer_class": "GPT2Tokenizer"})";
  CHECK(error(gpt2, "a b\n") == "no error");
  CHECK(error(gpt2, "#version: 0.2\r\na b\r\n") == "no error");
  mentions(error(R"({"tokenizer_class": "RobertaTokenizerFast"})", "a b\n"), "RobertaTokenizer");
  mentions(error("{}", "a b\n"), "whose class no file names");
  mentions(error(gpt2, "a b c\n"), "left right");
  mentions(error(gpt2, "a c\n"), "“c” in merge 0");
  folder.write("config.json", R"({"model_type": "opt"})");
  mentions(error("{}", "a b\n"), "model type opt");
}
