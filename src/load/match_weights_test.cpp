// What a config.json promises of the weights, and every way they can break it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "karat/architecture.h"
#include "karat/safetensors.h"
#include "load/config_testing.h"
#include "tests/shared.h"

using namespace karat;
using namespace karat::testing;
using nlohmann::json;

namespace {

void match(Architecture& arch, Safetensors weights) {
  match_weights(arch, weights);
}

/// A checkpoint of zeros as `arch` needs it, in memory and on disk.
struct Checkpoint {
  std::vector<OwnedTensor> tensors;
  explicit Checkpoint(const Architecture& arch) {
    for (const auto& [name, shape] : tensor_shapes(arch)) add(name, DType::f16, shape);
  }
  void add(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape) {
    OwnedTensor tensor{name, dtype, shape, {}};
    tensor.data.resize(tensor.view().bytes());
    tensors.push_back(std::move(tensor));
  }
  void drop(std::string_view name) {
    std::erase_if(tensors, [&](const OwnedTensor& t) { return t.name == name; });
  }
  Safetensors open() const {
    const TempFolder folder;  // the mapping outlives the name
    std::vector<TensorView> views;
    for (const auto& t : tensors) views.push_back(t.view());
    write_safetensors(folder / "f", views, {});
    return Safetensors::open(folder / "f");
  }
  std::string mismatch(Architecture arch) const {
    return error_of([&] { match(arch, open()); });
  }
};

}  // namespace

TEST_CASE("weights that fit, in each of the families") {
  for (const auto& config : {kLlama, with(kLlama, R"({"model_type":"qwen2"})"),
                             with(kLlama, R"({"model_type":"qwen3","head_dim":8})"), kGpt2}) {
    const Architecture arch = parse(config);
    CHECK(Checkpoint(arch).mismatch(arch) == "no error");
  }
}

TEST_CASE("weights that contradict config.json are named") {
  const Architecture arch = parse(kLlama);
  for (const auto& [name, shape] : tensor_shapes(arch)) {
    Checkpoint without(arch);
    without.drop(name);
    contains(without.mismatch(arch), "tensor " + name + ": got nothing");
    Checkpoint other = without;
    other.add(name, DType::f16, {3});
    contains(other.mismatch(arch), "tensor " + name + ": got shape [3]");
    without.add(name, DType::i8, shape);
    contains(without.mismatch(arch), "tensor " + name + ": got I8");
  }
  Checkpoint biased(arch);
  biased.add("model.layers.0.self_attn.q_proj.bias", DType::f16, {64});
  contains(biased.mismatch(arch), "q_proj.bias: got a bias, expected none");
}

TEST_CASE("types that Karat only carries along are refused where a weight is read, by its name") {
  const Architecture arch = parse(kLlama);
  const std::vector<DType> types = {DType::f8_e4m3,     DType::f8_e5m2,     DType::f8_e8m0,
                                    DType::f8_e4m3fnuz, DType::f8_e5m2fnuz, DType::c64};
  Checkpoint beside(arch);
  for (const DType type : types) beside.add("extra." + std::string(name_of(type)), type, {3});
  CHECK(beside.mismatch(arch) == "no error");
  const auto files = beside.open();
  CHECK(files.get("extra.F8_E4M3").bytes() == 3);
  CHECK(files.get("extra.C64").bytes() == 24);
  for (const DType type : types)
    for (const auto& [name, shape] : tensor_shapes(arch)) {
      Checkpoint other(arch);
      other.drop(name);
      other.add(name, type, shape);
      contains(other.mismatch(arch),
               fmt::format("tensor {}: got {}, expected F32, F16 or BF16", name, name_of(type)));
    }
}

TEST_CASE("a weight of a type that Karat does not know is refused by name") {
  const Architecture arch = parse(kLlama);
  const TempFolder folder;
  std::vector<TensorView> views;
  const Checkpoint whole(arch);
  for (const OwnedTensor& tensor : whole.tensors) views.push_back(tensor.view());
  const auto mismatch = [&] {
    write_safetensors(folder / "f", views, {});
    Architecture read = arch;
    return error_of([&] { match(read, Safetensors::open(folder / "f")); });
  };
  views.push_back({"extra", DType::other, {5}, whole.tensors[0].data.data(), "F6_E2M3", 4});
  CHECK(mismatch() == "no error");
  views.back() = views.front();
  views.back().dtype = DType::other;
  views.back().other_type = "F6_E2M3";
  views.back().other_bytes = views.front().bytes() / 2;
  views.erase(views.begin());
  contains(mismatch(), fmt::format("tensor {}: got F6_E2M3, expected F32", views.back().name));
}

TEST_CASE("a packed layer, embedding or head stands for its weight, positions cannot") {
  const Architecture arch = parse(kLlama);
  Checkpoint packed(arch);
  packed.drop("model.layers.0.mlp.up_proj.weight");
  packed.add("model.layers.0.mlp.up_proj.codes", DType::u8, {1});
  CHECK(packed.mismatch(arch) == "no error");
  packed.drop("model.norm.weight");
  packed.add("model.norm.codes", DType::u8, {1});
  contains(packed.mismatch(arch), "model.norm.weight: got nothing");
  Checkpoint ends(arch);
  ends.drop(arch.embedding);
  ends.drop(arch.head);
  ends.add("model.embed_tokens.codes", DType::u8, {1});
  if (!arch.tied()) {
    contains(ends.mismatch(arch), "lm_head.weight: got nothing");
    ends.add("lm_head.codes", DType::u8, {1});
  }
  CHECK(ends.mismatch(arch) == "no error");
  const Architecture gpt2 = parse(kGpt2);
  Checkpoint positions(gpt2);
  positions.drop(gpt2.positions);
  positions.add("transformer.wpe.codes", DType::u8, {1});
  contains(positions.mismatch(gpt2), "wpe.weight: got nothing");
}

TEST_CASE("the prefix of the language model may be missing") {
  for (const auto& config : {kGpt2, with(kLlama, R"({"tie_word_embeddings":true})"), kLlama}) {
    Architecture arch = parse(config);
    Checkpoint bare(arch);
    for (auto& tensor : bare.tensors)
      for (const std::string_view prefix : {"model.", "transformer."})
        if (tensor.name.starts_with(prefix)) tensor.name.erase(0, prefix.size());
    bare.add("h.0.attn.bias", DType::u8, {1, 1, 16, 16});  // GPT-2's mask, a buffer
    Safetensors weights = bare.open();
    const bool tied = arch.tied();
    match_weights(arch, weights);
    CHECK(weights.find(arch.embedding) != nullptr);
    CHECK(arch.tied() == tied);
    CHECK(arch.warnings.empty());
    for (const auto& [name, shape] : tensor_shapes(arch)) CHECK(weights.find(name) != nullptr);
  }
}

TEST_CASE("tensors stand at any of the places that the family names") {
  Architecture arch = parse(kLlama);
  arch.places = {{"model.text.", ""}, {"text.model.", "text."}};
  for (const auto& [body, head] : arch.places) {
    CAPTURE(body);
    Checkpoint elsewhere(arch);
    for (auto& tensor : elsewhere.tensors)
      tensor.name =
          tensor.name.starts_with("model.") ? body + tensor.name.substr(6) : head + tensor.name;
    elsewhere.add("vision.patches.weight", DType::u8, {3});
    CHECK(elsewhere.mismatch(arch) == "no error");
    Architecture found = arch;
    Safetensors weights = elsewhere.open();
    match_weights(found, weights);
    CHECK(found.blocks[1].mlp.down.name == body + "layers.1.mlp.down_proj");
    CHECK(found.head == head + "lm_head.weight");
  }
}

TEST_CASE("a head beside tied embeddings is used when it differs") {
  for (const auto& config :
       {kGpt2, with(kGpt2, R"({"tie_word_embeddings":true})"),
        with(kLlama, R"({"tie_word_embeddings":true})"),
        with(kLlama, R"({"model_type":"qwen2","tie_word_embeddings":true})")}) {
    const Architecture arch = parse(config);
    REQUIRE(arch.tied());
    const auto head_of = [&](DType dtype, unsigned char last) {
      Checkpoint checkpoint(arch);
      checkpoint.add("lm_head.weight", dtype, {arch.vocab, arch.hidden});
      checkpoint.tensors.back().data.back() = std::byte{last};
      Architecture matched = arch;
      match(matched, checkpoint.open());
      CHECK(matched.warnings.empty());
      return matched.head;
    };
    CHECK(head_of(DType::f16, 0) == arch.embedding);
    CHECK(head_of(DType::bf16, 0) == arch.embedding);  // the same values in another type
    CHECK(head_of(DType::f16, 0x3c) == "lm_head.weight");
    CHECK(head_of(DType::f32, 0x3c) == "lm_head.weight");

    Checkpoint wrong(arch);
    wrong.add("lm_head.weight", DType::f16, {1});
    contains(wrong.mismatch(arch), "tensor lm_head.weight: got shape [1]");
    Checkpoint alone(arch);
    alone.drop(arch.embedding);
    alone.add("lm_head.weight", DType::f16, {arch.vocab, arch.hidden});
    Architecture swapped = arch;
    match(swapped, alone.open());
    CHECK(swapped.embedding == "lm_head.weight");
    CHECK(swapped.tied());
  }
}

TEST_CASE("tensors that nothing reads are told, but for buffers and other parts") {
  Architecture arch = parse(kLlama);
  Checkpoint checkpoint(arch);
  for (const char* name : {"model.layers.0.self_attn.rotary_emb.inv_freq", "model.position_ids",
                           "transformer.h.0.attn.masked_bias", "vision_tower.patch.weight"})
    checkpoint.add(name, DType::f32, {2});
  arch.left_alone = {"vision_tower."};
  const auto told = [&] {
    Architecture matched = arch;
    match(matched, checkpoint.open());
    return matched.warnings;
  };
  CHECK(told().empty());
  checkpoint.add("model.layers.0.self_attn.q_norm.weight", DType::i8, {16});
  REQUIRE(told().size() == 1);
  contains(told()[0], "1 tensor that nothing reads: model.layers.0.self_attn.q_norm.weight");
  for (const char* name : {"a", "b", "c", "d"}) checkpoint.add(name, DType::f32, {1});
  contains(told()[0], "5 tensors that nothing reads: a, b, c, d, …");
}

TEST_CASE("stories260K" * doctest::test_suite("shared")) {
  const auto folder = testing::shared("models/stories260K/hf");
  if (testing::missing(folder)) return;
  Architecture arch = read_architecture(folder);
  Safetensors weights = Safetensors::open_folder(folder);
  match_weights(arch, weights);
  CHECK(arch.tied());
  std::int64_t parameters = 0;
  for (const auto& [name, shape] : tensor_shapes(arch)) parameters += weights.get(name).numel();
  CHECK(parameters == 260032);
}
