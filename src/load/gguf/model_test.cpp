// Models in GGUF files: architectures and keys that lie, split files, heads, the small files that a
// GGUF file stands for.
#include "load/gguf/model.h"

#include <cmath>

#include "karat/architecture.h"
#include "karat/safetensors.h"
#include "load/gguf/testing.h"
#include "load/model_files.h"
#include "load/testing.h"

using namespace karat;
using namespace karat::testing;

namespace {

std::string floats(std::size_t count, float first = 1) {
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i) bytes += raw(first + static_cast<float>(i) / 64);
  return bytes;
}

constexpr std::int64_t kHidden = 8, kVocab = 6, kFfn = 4;

GgufWriter& add_keys(GgufWriter& writer, const std::string& architecture = "llama") {
  const std::string a = architecture + ".";
  writer.text("general.architecture", architecture);
  writer.integer(a + "embedding_length", kHidden).integer(a + "block_count", 1);
  writer.integer(a + "feed_forward_length", kFfn).integer(a + "context_length", 32);
  writer.integer(a + "attention.head_count", 2);
  return writer.real(a + "attention.layer_norm_rms_epsilon", 1e-5f);
}

GgufWriter& add_block(GgufWriter& writer) {
  const auto matrix = [&](const char* name, std::int64_t out, std::int64_t in) {
    writer.tensor(std::string("blk.0.") + name + ".weight", {in, out}, 0,
                  floats(static_cast<std::size_t>(out * in)));
  };
  for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"})
    matrix(name, kHidden, kHidden);
  matrix("ffn_gate", kFfn, kHidden);
  matrix("ffn_up", kFfn, kHidden);
  matrix("ffn_down", kHidden, kFfn);
  for (const char* name : {"blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"})
    writer.tensor(name, {kHidden}, 0, floats(kHidden));
  return writer;
}

GgufWriter& add_embedding(GgufWriter& writer) {
  return writer.tensor("token_embd.weight", {kHidden, kVocab}, 0, floats(kHidden * kVocab));
}

GgufWriter whole() {
  GgufWriter writer;
  add_keys(writer);
  add_embedding(writer);
  return add_block(writer);
}

/// The architecture, with its tensors found.
Architecture open(const std::filesystem::path& file) {
  Architecture arch = read_architecture(file);
  Safetensors weights = Safetensors::open_folder(file);
  match_weights(arch, weights);
  return arch;
}

std::string error_of_file(const GgufWriter& writer) {
  const TempFolder folder;
  folder.write("m.gguf", writer.bytes());
  return error_of([&] { open(folder / "m.gguf"); });
}

}  // namespace

TEST_CASE("a GGUF file opens wherever a folder does, its head tied where it has none") {
  const TempFolder folder;
  folder.write("m.gguf", whole().bytes());
  const Architecture arch = open(folder / "m.gguf");
  CHECK(arch.tied());
  CHECK(arch.warnings.empty());
  CHECK(arch.vocab == kVocab);
  CHECK(arch.heads == 2);
  CHECK(arch.kv_heads == 2);
  CHECK(Safetensors::files_of(folder / "m.gguf") == std::vector{folder / "m.gguf"});
  CHECK(is_gguf(folder / "m.gguf"));
  CHECK(!is_gguf(folder.path()));
  contains(config_text(folder / "m.gguf"), "\"model_type\": \"llama\"");

  GgufWriter same = whole();  // GPT-2's files have the embedding again
  same.tensor("output.weight", {kHidden, kVocab}, 0, floats(kHidden * kVocab));
  folder.write("same.gguf", same.bytes());
  CHECK(open(folder / "same.gguf").tied());
  GgufWriter other = whole();
  other.tensor("output.weight", {kHidden, kVocab}, 0, floats(kHidden * kVocab, 2));
  folder.write("other.gguf", other.bytes());
  CHECK(!open(folder / "other.gguf").tied());
}

TEST_CASE("rows of q lie in pairs in a llama's file and apart afterwards") {
  const TempFolder folder;
  folder.write("m.gguf", whole().bytes());
  const Safetensors files = Safetensors::open_folder(folder / "m.gguf");
  const std::vector<float> q = to_floats(files.get("model.layers.0.self_attn.q_proj.weight"));
  const std::vector<float> v = to_floats(files.get("model.layers.0.self_attn.v_proj.weight"));
  const std::size_t from[] = {0, 2, 1, 3, 4, 6, 5, 7};  // two heads of four rows
  for (std::size_t row = 0; row < 8; ++row)
    for (std::size_t i = 0; i < 8; ++i) CHECK(q[row * 8 + i] == v[from[row] * 8 + i]);
}

TEST_CASE("a vector of blocks is read as floats") {
  GgufWriter writer;
  add_keys(writer);
  writer.tensor("blk.0.attn_q.bias", {64}, 8, std::string(68, '\1'));
  const TempFolder folder;
  folder.write("m.gguf", writer.bytes());
  const Safetensors files = Safetensors::open_folder(folder / "m.gguf");
  const TensorView& bias = files.get("model.layers.0.self_attn.q_proj.bias");
  CHECK(bias.type() == "F32");
  CHECK(to_floats(bias) == std::vector<float>(64, f16_to_float(0x0101)));
}

TEST_CASE("architectures and keys that lie are refused by name") {
  GgufWriter other;
  add_keys(other, "mamba");
  contains(error_of_file(add_embedding(other)),
           "key general.architecture: got mamba, expected one of gemma, gemma3, gpt2, "
           "granite, granitemoe, llama");
  contains(error_of_file(GgufWriter()), "key general.architecture: got nothing");
  GgufWriter bare;
  contains(error_of_file(bare.text("general.architecture", "llama")),
           "key llama.embedding_length: got nothing, expected a whole number from 1");
  const auto with = [](const std::string& key, std::uint32_t value) {
    GgufWriter writer = whole();
    writer.integer(key, value);
    return error_of_file(writer);
  };
  contains(with("llama.attention.head_count_kv", 0), "got 0, expected a whole number from 1");
  contains(with("llama.attention.head_count_kv", 3), "num_key_value_heads 3");
  contains(with("llama.attention.value_length", 0), "no error");
  contains(with("llama.rope.dimension_count", 2), "partial_rotary_factor 0.5");
  contains(with("llama.expert_count", 8), "key llama.expert_used_count: got nothing");
  contains(with("llama.attention.key_length", 1u << 30), "a head of 1073741824 values");
  GgufWriter scaled = whole();
  contains(error_of_file(scaled.text("llama.rope.scaling.type", "longrope")),
           "got longrope, expected none, linear or yarn");
  GgufWriter factors = whole();
  factors.tensor("rope_freqs.weight", {2}, 0, raw(3.0f) + raw(2.0f));
  contains(error_of_file(factors), "key rope_freqs.weight: got other factors");
}

TEST_CASE("tensors that are missing, of another shape or not read") {
  GgufWriter missing;
  add_keys(missing);
  contains(error_of_file(add_embedding(missing)), "got nothing in the checkpoint");
  GgufWriter headless;
  contains(error_of_file(add_keys(headless)), "tensor token_embd.weight: got nothing");
  GgufWriter odd = whole();
  odd.tensor("blk.0.attn_q.bias", {3}, 0, floats(3));
  contains(error_of_file(odd), "q_proj.bias: got 3 rows");
  GgufWriter stray = whole();
  stray.tensor("blk.0.attn_sinks.weight", {2}, 0, floats(2));
  const TempFolder folder;
  folder.write("m.gguf", stray.bytes());
  const Architecture arch = open(folder / "m.gguf");
  REQUIRE(arch.warnings.size() == 1);
  contains(arch.warnings[0], "1 tensor that nothing reads: blk.0.attn_sinks.weight");
}

namespace {

GgufWriter& add_split(GgufWriter& writer, std::uint16_t number, std::uint16_t count) {
  writer.key("split.no", GgufType::u16, raw(number));
  return writer.key("split.count", GgufType::u16, raw(count));
}

struct SplitModel {
  SplitModel() {
    GgufWriter first, second;
    add_split(add_keys(first), 0, 2);
    first.key("split.tensors.count", GgufType::i32, raw(std::int32_t{11}));
    folder.write(kFirst, add_embedding(first).bytes());
    folder.write(kSecond, add_block(add_split(second, 1, 2)).bytes());
  }
  static constexpr const char *kFirst = "m-00001-of-00002.gguf", *kSecond = "m-00002-of-00002.gguf";
  TempFolder folder;
};

}  // namespace

TEST_CASE("a split model is the whole one") {
  const SplitModel split;
  split.folder.write("m.gguf", whole().bytes());
  const auto first = split.folder / SplitModel::kFirst;
  CHECK(open(first).vocab == kVocab);
  const std::vector parts = {first, split.folder / SplitModel::kSecond};
  CHECK(Safetensors::files_of(first) == parts);
  const Safetensors found = Safetensors::open_folder(first),
                    expected = Safetensors::open_folder(split.folder / "m.gguf");
  REQUIRE(found.tensors().size() == expected.tensors().size());
  for (const TensorView& tensor : expected.tensors())
    CHECK(to_floats(found.get(tensor.name)) == to_floats(tensor));
}

TEST_CASE("a split model with a part missing, twice, renamed or of another split") {
  const SplitModel split;
  const auto first = split.folder / SplitModel::kFirst, second = split.folder / SplitModel::kSecond;
  contains(error_of([&] { open(second); }), "got part 2 of a split model, expected its first part");
  std::filesystem::rename(second, split.folder / "kept");
  contains(error_of([&] { open(first); }), "got no m-00002-of-00002.gguf, expected all 2 parts");
  std::filesystem::copy_file(first, second);
  contains(error_of([&] { open(first); }), "got part 1 of 2, expected part 2 of 2");
  std::filesystem::remove(second);
  GgufWriter more;
  split.folder.write(SplitModel::kSecond, add_embedding(add_split(more, 1, 2)).bytes());
  contains(error_of([&] { open(first); }), "got the tensor token_embd.weight again");
  GgufWriter fewer;
  split.folder.write(SplitModel::kSecond, add_split(fewer, 1, 2).bytes());
  contains(error_of([&] { open(first); }), "key split.tensors.count: got 11, expected 1,");
  std::filesystem::rename(first, split.folder / "other.gguf");
  contains(error_of([&] { open(split.folder / "other.gguf"); }),
           "expected a name that ends in -00001-of-00002.gguf");
  GgufWriter beyond;
  split.folder.write("m.gguf", add_split(add_keys(beyond), 2, 2).bytes());
  contains(error_of([&] { open(split.folder / "m.gguf"); }), "got part 3 of 2");
}

TEST_CASE("Gemma 3 in a file: windows but in every sixth block, a rope for them, norms less 1") {
  GgufWriter writer;
  add_keys(writer, "gemma3").integer("gemma3.attention.sliding_window", 16);
  writer.integer("gemma3.attention.sliding_window_pattern", 1).real("gemma3.rope.freq_base", 5e5f);
  add_block(add_embedding(writer));
  for (const char* name : {"attn_q_norm", "attn_k_norm"})
    writer.tensor(std::string("blk.0.") + name + ".weight", {kHidden / 2}, 0, floats(kHidden / 2));
  for (const char* name : {"post_attention_norm", "post_ffw_norm"})
    writer.tensor(std::string("blk.0.") + name + ".weight", {kHidden}, 0, floats(kHidden));
  const TempFolder folder;
  folder.write("m.gguf", writer.bytes());
  const Architecture arch = open(folder / "m.gguf");
  CHECK(arch.warnings.empty());
  CHECK(arch.tied());
  CHECK(arch.blocks[0].window == 0);
  CHECK(arch.score_scale == doctest::Approx(0.5));
  CHECK(arch.ropes[0].frequencies.at(1) == doctest::Approx(1 / std::sqrt(5e5)));
  CHECK(arch.ropes[1].frequencies.at(1) == doctest::Approx(0.01));
  const Safetensors files = Safetensors::open_folder(folder / "m.gguf");
  for (const char* norm : {"pre_feedforward_layernorm", "post_attention_layernorm",
                           "self_attn.q_norm", "input_layernorm"})
    CHECK(to_floats(files.get("model.layers.0." + std::string(norm) + ".weight"))[1] ==
          doctest::Approx(1.0 / 64));
}
