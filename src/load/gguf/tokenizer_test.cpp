// Tokenizers from a GGUF file's metadata: those of the fixtures, written as llama.cpp writes them,
// give the ids of Hugging Face; and metadata that lies.
#include <nlohmann/json.hpp>

#include "karat/tokenizer.h"
#include "load/gguf/pre_tokenizer.h"
#include "load/gguf/sentencepiece.h"
#include "load/gguf/testing.h"
#include "load/model_files.h"
#include "load/testing.h"
#include "load/tokenizer_testing.h"

using namespace karat;
using namespace karat::testing;
using nlohmann::json;

namespace {

/// Tokens by id with their types, and what stands in a tokenizer.json.
struct ByteLevel {
  explicit ByteLevel(const std::string& name) {
    const json root = json::parse(read_text(kTokenizerFixtures / name / "tokenizer.json"));
    std::map<std::size_t, std::pair<std::string, std::int32_t>> by_id;
    for (const auto& [token, id] : root["model"]["vocab"].items()) by_id[id] = {token, 1};
    for (const json& token : root["added_tokens"])
      by_id[token["id"]] = {token["content"], token["special"] ? 3 : 4};
    for (const auto& [id, token] : by_id) {
      REQUIRE(id == tokens.size());
      tokens.push_back(token.first);
      types.push_back(token.second);
    }
    for (const json& merge : root["model"]["merges"])
      merges.push_back(merge.is_string()
                           ? merge.get<std::string>()
                           : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  GgufWriter writer(const std::string& pre) const {
    GgufWriter made;
    made.text("general.architecture", "llama").text("tokenizer.ggml.model", "gpt2");
    made.text("tokenizer.ggml.pre", pre).texts("tokenizer.ggml.tokens", tokens);
    made.numbers("tokenizer.ggml.token_type", GgufType::i32, types);
    return made.texts("tokenizer.ggml.merges", merges);
  }
  std::vector<std::string> tokens, merges;
  std::vector<std::int32_t> types;
};

Tokenizer opened(const GgufWriter& writer) {
  const TempFolder folder;
  folder.write("m.gguf", writer.bytes());
  return Tokenizer::open(folder / "m.gguf");
}

/// The fields of a protocol buffer: number and content, or value of 32 bits.
std::vector<std::pair<int, std::string>> fields_of(const std::string& bytes) {
  std::vector<std::pair<int, std::string>> fields;
  std::size_t at = 0;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes.at(at++));
      value |= static_cast<std::uint64_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.size()) {
    const std::uint64_t tag = varint();
    const bool number = (tag & 7) == 0;
    const std::uint64_t size = (tag & 7) == 5 ? 4 : varint();
    fields.emplace_back(static_cast<int>(tag >> 3), number ? raw(size) : bytes.substr(at, size));
    if (!number) at += size;
  }
  return fields;
}

/// The pieces of the fixture's tokenizer.model as metadata.
GgufWriter pieces_writer(std::int32_t type_of_unknown = 2) {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
  for (const auto& [number, piece] :
       fields_of(read_text(kTokenizerFixtures / "sentencepiece/tokenizer.model"))) {
    if (number != 1) continue;
    tokens.emplace_back(), scores.push_back(0), types.push_back(1);
    for (const auto& [field, content] : fields_of(piece)) {
      if (field == 1) tokens.back() = content;
      if (field == 2) std::memcpy(&scores.back(), content.data(), 4);
      if (field == 3) std::memcpy(&types.back(), content.data(), 4);
    }
  }
  types[0] = type_of_unknown;
  GgufWriter writer;
  writer.text("general.architecture", "llama").text("tokenizer.ggml.model", "llama");
  writer.texts("tokenizer.ggml.tokens", tokens);
  writer.numbers("tokenizer.ggml.scores", GgufType::f32, scores);
  writer.numbers("tokenizer.ggml.token_type", GgufType::i32, types);
  writer.integer("tokenizer.ggml.unknown_token_id", 0);
  return writer.integer("tokenizer.ggml.bos_token_id", 1).integer("tokenizer.ggml.eos_token_id", 2);
}

}  // namespace

TEST_CASE("byte-level tokenizers of GGUF files give the ids of Hugging Face") {
  const auto check = [](const std::string& name, const GgufWriter& writer) {
    check_against(opened(writer), kTokenizerFixtures / name / "expected.json");
  };
  check("gpt2", ByteLevel("gpt2").writer("gpt-2"));
  check("qwen2", ByteLevel("qwen2").writer("qwen2"));
  check("llama3",
        ByteLevel("llama3").writer("llama-bpe").integer("tokenizer.ggml.bos_token_id", 700));
  GgufWriter spaced = ByteLevel("smollm").writer("smollm");
  const Tokenizer smollm = opened(spaced.flag("tokenizer.ggml.add_space_prefix", true));
  const Tokenizer expected = Tokenizer::open(kTokenizerFixtures / "smollm");
  for (const std::string& text : texts())  // its <…> swallow spaces, which GGUF cannot say
    if (text.find('<') == text.npos) CHECK(smollm.encode(text) == expected.encode(text));
}

TEST_CASE("BOS and EOS stand around a text as the metadata say, and roles have their tokens") {
  GgufWriter writer = ByteLevel("qwen2").writer("qwen2");
  writer.integer("tokenizer.ggml.bos_token_id", 600).integer("tokenizer.ggml.eos_token_id", 602);
  writer.flag("tokenizer.ggml.add_bos_token", true).flag("tokenizer.ggml.add_eos_token", true);
  writer.text("tokenizer.chat_template", "{{ messages }}");
  const TempFolder folder;
  folder.write("m.gguf", writer.bytes());
  const std::vector<TokenId> ids = Tokenizer::open(folder / "m.gguf").encode("");
  CHECK(ids == std::vector<TokenId>{600, 602});
  const json config = json::parse(model_text(folder / "m.gguf", "tokenizer_config.json"));
  CHECK(config["eos_token"] == "<|im_end|>");
  CHECK(config["chat_template"] == "{{ messages }}");

  const TempFolder written;  // what quantize writes beside the weights is the same tokenizer
  for (const auto& [name, text] : side_texts(folder / "m.gguf")) written.write(name.string(), text);
  CHECK(Tokenizer::open(written.path()).encode("The 1st") ==
        Tokenizer::open(folder / "m.gguf").encode("The 1st"));
}

TEST_CASE("sentencepiece tokenizers of GGUF files give the ids of the model that they came from") {
  for (const std::int32_t type_of_unknown : {2, 3})  // 3: control, as in Gemma 3's files
    check_against(opened(pieces_writer(type_of_unknown)),
                  kTokenizerFixtures / "sentencepiece/expected.json");
  GgufWriter plain = pieces_writer();
  plain.flag("tokenizer.ggml.add_bos_token", false).flag("tokenizer.ggml.add_space_prefix", false);
  const Tokenizer tokenizer = opened(plain);
  CHECK(!tokenizer.bos());
  CHECK(tokenizer.decode(tokenizer.encode("a b")) == "a b");
  CHECK(tokenizer.encode("a") != opened(pieces_writer()).encode("a", false));
}

TEST_CASE("every split into words is one that tokenizer.json can say") {
  CHECK(gguf_pre_tokenizers().size() > 20);
  const ByteLevel bytes("gpt2");
  for (const std::string_view name : gguf_pre_tokenizers()) {
    CAPTURE(name);
    const Tokenizer tokenizer = opened(bytes.writer(std::string(name)));
    const std::string text = "It's 1984, naïve; don't\n\n  we'LL see  ";
    CHECK(tokenizer.decode(tokenizer.encode(text, false)) == text);
  }
}

TEST_CASE("tokenizers that lie are refused by name") {
  const ByteLevel bytes("gpt2");
  const auto error = [](const GgufWriter& writer) { return error_of([&] { opened(writer); }); };
  contains(error(bytes.writer("klingon")),
           "key tokenizer.ggml.pre: got klingon, expected one of codeshell, command-r");
  GgufWriter none, other, role, score;
  contains(error(none.text("general.architecture", "llama")),
           "key tokenizer.ggml.model: got nothing");
  other.text("general.architecture", "llama").text("tokenizer.ggml.model", "bert");
  contains(error(other), "got bert, expected gpt2 or llama");
  ByteLevel changed = bytes;
  changed.types.pop_back();
  contains(error(changed.writer("gpt-2")), "key tokenizer.ggml.token_type: got 700 numbers");
  changed = bytes;
  changed.types[3] = 9;
  contains(error(changed.writer("gpt-2")), "got 9 at 3, expected types 1 to 6");
  changed = bytes;
  changed.tokens[4] = changed.tokens[3];
  contains(error(changed.writer("gpt-2")), "twice, expected once");
  changed = bytes;
  changed.tokens[4] = "\xff";
  contains(error(changed.writer("gpt-2")), "bytes that are no UTF-8 at 4");
  changed = bytes;
  changed.merges[0] = "neither nor";
  CHECK(error(changed.writer("gpt-2")) != "no error");
  role = bytes.writer("gpt-2");
  contains(error(role.integer("tokenizer.ggml.eos_token_id", 1u << 30)),
           "key tokenizer.ggml.eos_token_id: got 1073741824, expected below 701");
  score.text("general.architecture", "llama").text("tokenizer.ggml.model", "llama");
  contains(error(score.texts("tokenizer.ggml.tokens", {"<unk>", "a"})),
           "key tokenizer.ggml.scores: got nothing");
}
