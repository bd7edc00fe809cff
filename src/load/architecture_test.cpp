// config.json of every family and both generations, what they promise of the weights, and every way
// they can lie. Rope frequencies are those of transformers 5 (LlamaRotaryEmbedding.inv_freq).
#include "karat/architecture.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "karat/safetensors.h"
#include "load/family.h"
#include "load/testing.h"
#include "tests/shared.h"

using namespace karat;
using namespace karat::testing;
using nlohmann::json;

namespace {

const json kLlama = json::parse(R"({"model_type":"llama","vocab_size":8,"hidden_size":64,
  "intermediate_size":96,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,
  "max_position_embeddings":2048,"rms_norm_eps":1e-5})");
const json kGpt2 = json::parse(R"({"model_type":"gpt2","vocab_size":8,"n_embd":12,"n_head":4,
  "n_layer":2,"n_positions":16})");

/// `config` with the members of `changes` on top; the text of a JSON object.
json with(json config, const char* changes) {
  config.update(json::parse(changes));
  return config;
}
Architecture parse(const json& config) {
  return parse_architecture(config.dump(), "config.json");
}
std::string refusal(const json& config) {
  return error_of([&] { parse(config); });
}
std::vector<std::int64_t> windows(const Architecture& arch) {
  std::vector<std::int64_t> list;
  for (const Block& block : arch.blocks) list.push_back(block.window);
  return list;
}
void near(const std::vector<float>& got, const std::vector<float>& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    CHECK(got[i] == doctest::Approx(expected[i]).epsilon(3e-7));  // two units in the last place
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
    return error_of([&] { match_weights(arch, open()); });
  }
};

}  // namespace

TEST_CASE("llama") {
  const Architecture arch = parse(kLlama);
  CHECK(arch.family == "llama");
  CHECK(arch.head_dim == 16);
  CHECK(arch.head == "lm_head.weight");
  CHECK(arch.positions.empty());
  CHECK(arch.activation == Activation::silu);
  CHECK(arch.bos == 1);
  CHECK(arch.eos == std::vector<std::int32_t>{2});
  REQUIRE(arch.blocks.size() == 2);
  const Block& block = arch.blocks[1];
  CHECK(block.linears().size() == 7);
  CHECK(block.attention.k.name == "model.layers.1.self_attn.k_proj");
  CHECK(block.attention.k.out == 32);
  CHECK(block.attention.k.in == 64);
  CHECK(!block.attention.k.bias);
  CHECK(block.mlp.down.in == 96);
  CHECK(block.window == 0);
  CHECK(block.mlp.norm.eps == 1e-5f);
  CHECK(!block.attention.q_norm);
  CHECK(tensor_shapes(arch).size() == 1 + 2 * 9 + 1 + 1);
  near(arch.ropes.at(0).frequencies,
       {1.0f, 0.316227764f, 0.100000001f, 0.0316227786f, 0.00999999978f, 0.00316227786f,
        0.00100000005f, 0.000316227786f});
}

TEST_CASE("llama's options") {
  CHECK(parse(with(kLlama, R"({"tie_word_embeddings":true})")).tied());
  CHECK(parse(with(kLlama, R"({"head_dim":32})")).blocks[0].attention.o.in == 128);
  CHECK(parse(with(kLlama, R"({"num_key_value_heads":null})")).kv_heads == 4);
  const auto biased = parse(with(kLlama, R"({"attention_bias":true,"mlp_bias":true})"));
  for (const Linear* linear : biased.blocks[0].linears()) CHECK(linear->bias);
  const auto ids = parse(with(kLlama, R"({"bos_token_id":null,"eos_token_id":[3,7,8,-1]})"));
  CHECK(!ids.bos);
  CHECK(ids.eos == std::vector<std::int32_t>{3, 7});
  CHECK(parse(with(kLlama, R"({"hidden_act":"gelu"})")).activation == Activation::gelu);
  CHECK(parse(with(kLlama, R"({"hidden_act":"gelu_pytorch_tanh"})")).activation ==
        Activation::gelu_tanh);
}

TEST_CASE("rope scaling, spelt by both generations of transformers") {
  const std::vector<float> llama3 = {1.0f,
                                     0.193922758f,
                                     0.0105382307f,
                                     0.000911583134f,
                                     0.000176776681f,
                                     3.42810235e-05f,
                                     6.64786967e-06f,
                                     1.28917316e-06f};
  const std::string smooth = R"("factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
                                "original_max_position_embeddings":256)";
  near(parse(with(kLlama, (R"({"rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3",)" +
                           smooth + "}}")
                              .c_str()))
           .ropes.at(0)
           .frequencies,
       llama3);
  near(parse(with(kLlama, (R"({"rope_parameters":{"rope_theta":500000,"rope_type":"llama3",)" +
                           smooth + "}}")
                              .c_str()))
           .ropes.at(0)
           .frequencies,
       llama3);

  const std::vector<float> linear = {0.25f,           0.079056941f,   0.0250000004f,
                                     0.00790569466f,  0.00249999994f, 0.000790569466f,
                                     0.000250000012f, 7.90569466e-05f};
  near(parse(with(kLlama, R"({"rope_scaling":{"type":"linear","factor":4.0}})"))
           .ropes.at(0)
           .frequencies,
       linear);
  near(parse(with(kLlama, R"({"rope_parameters":{"rope_type":"linear","factor":4.0}})"))
           .ropes.at(0)
           .frequencies,
       linear);
  CHECK(parse(with(kLlama, R"({"rope_scaling":null})")).ropes.at(0).frequencies ==
        parse(with(kLlama, R"({"rope_parameters":{"rope_theta":10000,"rope_type":"default"}})"))
            .ropes.at(0)
            .frequencies);
}

TEST_CASE("a rope type that is null leaves the word to the older key; both may say the same") {
  const auto scaled = [](const char* scaling) { return parse(with(kLlama, scaling)); };
  const auto plain = scaled(R"({"rope_scaling":{"type":"linear","factor":4}})");
  for (const char* both :
       {R"({"rope_scaling":{"type":"linear","rope_type":null,"factor":4}})",
        R"({"rope_scaling":{"type":"linear","rope_type":"linear","factor":4}})"}) {
    CHECK(scaled(both).ropes.at(0).frequencies == plain.ropes.at(0).frequencies);
    CHECK(scaled(both).warnings.empty());
  }
}

TEST_CASE("yarn: what transformers makes of truncate, mscale and attention_factor") {
  const auto yarn = [](const char* changes) {
    const json rope = with(json::parse(R"({"rope_type":"yarn","factor":4.0,"rope_theta":10000.0,
                                           "original_max_position_embeddings":512})"),
                           changes);
    json config = kLlama;
    config["rope_parameters"] = rope;
    return parse(config).ropes.at(0);
  };
  const Rope plain = yarn("{}");
  near(plain.frequencies, {1.0f, 0.25693506f, 0.0625f, 0.0138349654f, 0.00249999994f,
                           0.000790569466f, 0.000250000012f, 7.90569466e-05f});
  CHECK(plain.factor == doctest::Approx(1.138629436111989));
  const Rope other = yarn(R"({"factor":8.0,"original_max_position_embeddings":256,
      "rope_theta":500000.0,"truncate":false,"beta_fast":16,"beta_slow":2,"mscale":0.7,
      "mscale_all_dim":1.3})");
  near(other.frequencies, {1.0f, 0.136347115f, 0.00470075384f, 0.000911583134f, 0.000176776681f,
                           3.42810235e-05f, 6.64786967e-06f, 1.28917316e-06f});
  CHECK(other.factor == doctest::Approx(0.9017839869787123));
  CHECK(yarn(R"({"attention_factor":0.75,"mscale":1.0})").factor == 0.75f);
  CHECK(yarn(R"({"factor":0.5})").factor == 1);
  contains(refusal(with(kLlama, R"({"rope_scaling":{"type":"yarn","factor":-1}})")), "above 0");
  contains(refusal(with(kLlama, R"({"rope_theta":1,"rope_scaling":{"type":"yarn","factor":2}})")),
           "finite");
}

TEST_CASE("rope types that say the same as none within the context and of text") {
  const auto none = parse(kLlama).ropes.at(0).frequencies;
  for (const char* type :
       {R"({"type":"dynamic","factor":4.0})", R"({"type":"mrope","mrope_section":[2,3,3]})",
        R"({"rope_type":"default","mrope_interleaved":true})"}) {
    json config = kLlama;
    config["rope_scaling"] = json::parse(type);
    CHECK(parse(config).ropes.at(0).frequencies == none);
    CHECK(parse(config).warnings.empty());
  }
}

TEST_CASE("rope that Karat does not compute is refused") {
  const auto scaled = [](const char* scaling) {
    return refusal(with(kLlama, (R"({"rope_scaling":)" + std::string(scaling) + "}").c_str()));
  };
  for (const char* type : {"longrope", "su", "proportional"})
    contains(scaled(("{\"factor\":2,\"rope_type\":\"" + std::string(type) + "\"}").c_str()),
             "expected default, linear, llama3, yarn, dynamic or mrope");
  contains(scaled(R"({"rope_type":"linear"})"), "expected factor");
  contains(scaled(R"({"rope_type":"linear","factor":0})"), "above 0");
  contains(scaled(R"({"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4})"),
           "below high_freq_factor");
  contains(scaled(R"({"partial_rotary_factor":0.5})"), "whole heads");
  contains(scaled(R"({"full_attention":{"rope_theta":1}})"), "one set of rope parameters");
  contains(scaled("[]"), "an object or null");
  contains(refusal(with(kLlama, R"({"rope_theta":-1})")), "above 0");
  contains(refusal(with(kLlama, R"({"rope_theta":"x"})")), "finite number");
  contains(refusal(with(kLlama, R"({"rope_theta":1e-300,"head_dim":1024})")), "finite");
  contains(refusal(with(kLlama, R"({"head_dim":15})")), "even");
  contains(refusal(with(kLlama, R"({"head_dim":2147483646})")), "at most 65536");
}

TEST_CASE("mistral: a window in every block, unless it is null") {
  const json mistral = with(kLlama, R"({"model_type":"mistral"})");
  CHECK(windows(parse(mistral)) == std::vector<std::int64_t>{4096, 4096});
  CHECK(windows(parse(with(mistral, R"({"sliding_window":5})"))) ==
        std::vector<std::int64_t>{5, 5});
  CHECK(windows(parse(with(mistral, R"({"sliding_window":null})"))) ==
        std::vector<std::int64_t>{0, 0});
  const json listed =
      with(mistral, R"({"sliding_window":5,"layer_types":["full_attention","sliding_attention"]})");
  CHECK(windows(parse(listed)) == std::vector<std::int64_t>{0, 5});
  contains(refusal(with(listed, R"({"sliding_window":null})")), "without a window");
  json silent = with(mistral, R"({"num_attention_heads":16})");
  silent.erase("num_key_value_heads");
  CHECK(parse(silent).kv_heads == 8);
}

TEST_CASE("qwen2: biases on q, k, v; windows behind a switch") {
  const json qwen = with(kLlama, R"({"model_type":"qwen2","sliding_window":5})");
  const Architecture arch = parse(qwen);
  for (const Linear* linear : layers_reading(Input::attention_norm, arch.blocks[0]))
    CHECK(linear->bias);
  CHECK(!arch.blocks[0].attention.o.bias);
  CHECK(!arch.blocks[0].mlp.down.bias);
  CHECK(!arch.bos);
  CHECK(arch.eos.empty());
  CHECK(windows(arch) == std::vector<std::int64_t>{0, 0});
  const json on = with(qwen, R"({"use_sliding_window":true})");
  CHECK(windows(parse(on)) == std::vector<std::int64_t>{0, 0});  // from layer 28 on
  CHECK(windows(parse(with(on, R"({"max_window_layers":1})"))) == std::vector<std::int64_t>{0, 5});
  CHECK(windows(parse(with(on, R"({"max_window_layers":0})"))) == std::vector<std::int64_t>{5, 5});
  CHECK(windows(parse(with(on, R"({"max_window_layers":0,"sliding_window":null})"))) ==
        std::vector<std::int64_t>{0, 0});
  CHECK(windows(parse(with(on, R"({"layer_types":["sliding_attention","full_attention"]})"))) ==
        std::vector<std::int64_t>{5, 0});
  contains(refusal(with(on, R"({"layer_types":["full_attention"]})")), "a list of 2");
  contains(refusal(with(on, R"({"layer_types":["full_attention","chunked"]})")), "every layer");
  contains(refusal(with(qwen, R"({"layer_types":["sliding_attention","full_attention"]})")),
           "without a window");
}

TEST_CASE("qwen3: norms on the heads of q and k, head_dim of its own") {
  const json qwen = with(kLlama, R"({"model_type":"qwen3"})");
  CHECK(parse(qwen).head_dim == 128);
  const Architecture arch = parse(with(qwen, R"({"head_dim":8})"));
  REQUIRE(arch.blocks[1].attention.k_norm);
  CHECK(arch.blocks[1].attention.k_norm->name == "model.layers.1.self_attn.k_norm");
  CHECK(arch.blocks[1].attention.k_norm->eps == 1e-5f);
  CHECK(!arch.blocks[0].attention.q.bias);
  CHECK(tensor_shapes(arch).size() == 1 + 2 * 11 + 1 + 1);
}

TEST_CASE("gpt2: fused, stored [in, out], learned positions, tied") {
  const Architecture arch = parse(kGpt2);
  CHECK(arch.tied());
  CHECK(arch.ffn == 48);
  CHECK(arch.head_dim == 3);
  CHECK(arch.ropes.empty());
  CHECK(arch.positions == "transformer.wpe.weight");
  CHECK(arch.activation == Activation::gelu_tanh);
  CHECK(!arch.bos);  // the class's default, 50256, is not in this vocabulary
  const Block& block = arch.blocks[0];
  CHECK(block.attention.norm.kind == Norm::Kind::layer);
  CHECK(block.linears().size() == 4);
  CHECK(block.attention.qkv.transposed);
  CHECK(block.attention.qkv.out == 36);
  const auto shapes = tensor_shapes(arch);
  CHECK(shapes.size() == 2 + 2 * 12 + 2);
  CHECK(shapes[4].name == "transformer.h.0.attn.c_attn.weight");
  CHECK(shapes[4].shape == std::vector<std::int64_t>{12, 36});
  CHECK(parse(with(kGpt2, R"({"n_inner":20})")).ffn == 20);
  CHECK(parse(with(kGpt2, R"({"n_inner":null})")).ffn == 48);
  CHECK(parse(with(kGpt2, R"({"tie_word_embeddings":false})")).head == "lm_head.weight");
  for (const char* change :
       {R"({"scale_attn_weights":false})", R"({"add_cross_attention":true})",
        R"({"scale_attn_by_inverse_layer_idx":true})", R"({"reorder_and_upcast_attn":true})"})
    contains(refusal(with(kGpt2, change)), "does not compute");
}

TEST_CASE("keys that change nothing are passed over, those that nobody knows are told") {
  const auto warnings = [](const json& config) { return parse(config).warnings; };
  CHECK(warnings(kLlama).empty());
  CHECK(warnings(with(kLlama, R"({"architectures":["LlamaForCausalLM"],"torch_dtype":"float16",
    "dtype":"float16","use_cache":true,"transformers_version":"5.0","initializer_range":0.02,
    "attention_dropout":0.1,"pad_token_id":0,"_name_or_path":"x","_attn_implementation":"sdpa",
    "pretraining_tp":1,"quantization_config":{"any":1},"unheard_of":null})"))
            .empty());
  CHECK(warnings(with(kGpt2, R"({"n_ctx":16,"summary_type":"cls_index","resid_pdrop":0.1})"))
            .empty());
  const auto told = warnings(with(kLlama, R"({"zeal":{"a":1},"n_ctx":16,"rope_scaling":
    {"rope_type":"linear","factor":2,"beta":1,"theta":null}})"));
  REQUIRE(told.size() == 1);
  contains(told[0], "config.json says n_ctx, rope_scaling.beta, zeal, which Karat does not know");
}

TEST_CASE("every key that transformers writes for a family is read or harmless") {
  for (const auto& entry :
       std::filesystem::directory_iterator(KARAT_SOURCE_DIR "/tests/fixtures/families")) {
    CAPTURE(entry.path().string());
    CHECK(read_architecture(entry.path()).warnings.empty());
  }
}

TEST_CASE("a key that changes what is computed is refused where its family does not read it") {
  for (const char* change :
       {R"({"is_causal":false})", R"({"attn_logit_softcapping":50.0})", R"({"num_experts":8})",
        R"({"embedding_multiplier":12})", R"({"no_rope_layers":[1,0]})", R"({"clip_qkv":8})",
        R"({"use_bidirectional_attention":true})", R"({"rope_scaling":{"use_mrope":true}})"}) {
    const json changed = json::parse(change);
    const json& holder = changed.contains("rope_scaling") ? changed["rope_scaling"] : changed;
    contains(refusal(with(kLlama, change)), holder.begin().key() + " " + holder.begin()->dump());
  }
  const json neutral = with(kLlama, R"({"is_causal":true,"attn_logit_softcapping":null,
    "num_experts":0,"embedding_multiplier":1.0,"no_rope_layers":[1,1],"use_mrope":false,
    "add_cross_attention":false,"is_encoder_decoder":false})");
  CHECK(parse(neutral).warnings.empty());
}

TEST_CASE("layer types that a family does not read must say what it computes") {
  const char* full = R"({"layer_types":["full_attention","full_attention"]})";
  const char* mixed = R"({"layer_types":["full_attention","sliding_attention"]})";
  CHECK(parse(with(kLlama, full)).warnings.empty());
  contains(refusal(with(kLlama, mixed)), "layer_types");
  contains(refusal(with(kLlama, R"({"layer_types":["full_attention"]})")), "layer_types");
}

TEST_CASE("values out of range or of another type are refused, and named") {
  const auto bad = [](const char* changes) { return refusal(with(kLlama, changes)); };
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads"}) {
    json without = kLlama;
    without.erase(key);
    contains(refusal(without), std::string("got no ") + key);
    for (const char* value : {"0", "-1", "1.5", "\"2\"", "true", "[]", "18446744073709551615"})
      contains(bad(("{\"" + std::string(key) + "\":" + value + "}").c_str()), key);
  }
  contains(bad(R"({"num_hidden_layers":2147483647})"), "from 1 to 4096");
  contains(bad(R"({"num_key_value_heads":3})"), "a divisor of the 4");
  contains(bad(R"({"num_key_value_heads":8})"), "a divisor of the 4");
  contains(bad(R"({"num_attention_heads":128,"num_key_value_heads":128})"),
           "a divisor of hidden_size");
  contains(bad(R"({"num_attention_heads":6,"num_key_value_heads":6})"), "a divisor of hidden_size");
  contains(bad(R"({"rms_norm_eps":0})"), "above 0");
  contains(bad(R"({"tie_word_embeddings":"no"})"), "true or false");
  contains(bad(R"({"hidden_act":"relu"})"), "silu, gelu");
  contains(bad(R"({"hidden_act":1})"), "a string");
  contains(bad(R"({"eos_token_id":"</s>"})"), "a token id");
  contains(refusal(with(kGpt2, R"({"n_head":5})")), "a divisor of n_embd");
}

TEST_CASE("an unknown or missing architecture lists the known ones") {
  const std::vector<std::string> known = known_families();
  CHECK(std::ranges::is_sorted(known));
  for (const char* family : {"gpt2", "llama"}) CHECK(std::ranges::count(known, family) == 1);
  std::string list = "expected one of ";
  for (const std::string& family : known) list += (family == known[0] ? "" : ", ") + family;
  contains(refusal(with(kLlama, R"({"model_type":"bert"})")), "got model_type \"bert\", " + list);
  contains(refusal(json::object()), "got no model_type, " + list);
  contains(refusal(with(kLlama, R"({"model_type":7})")), "model_type 7");
  contains(refusal(json::array()), "not an object");
}

TEST_CASE("a config that is missing, cut off at any length, or nested without end") {
  const TempFolder folder;
  contains(error_of([&] { read_architecture(folder.path()); }), "config.json");
  const std::string text = kLlama.dump();
  for (std::size_t length = 0; length < text.size(); ++length)
    contains(error_of([&] { parse_architecture(text.substr(0, length), "c"); }), "well-formed");
  contains(error_of([&] { parse_architecture(std::string(100000, '['), "c"); }), "nested deeper");
  contains(error_of([&] { parse_architecture("{}" + std::string(1, '\0'), "c"); }), "NUL");
}

TEST_CASE("tokens that end a text: generation_config.json wins where it names them") {
  const TempFolder folder;
  folder.write("config.json", with(kLlama, R"({"eos_token_id":2})").dump());
  const auto eos = [&](const char* generation) {
    folder.write("generation_config.json", generation);
    return read_architecture(folder.path()).eos;
  };
  CHECK(read_architecture(folder.path()).eos == std::vector<std::int32_t>{2});
  CHECK(eos(R"({"eos_token_id":[3,7,8]})") == std::vector<std::int32_t>{3, 7});
  CHECK(eos(R"({"eos_token_id":5,"temperature":0.6})") == std::vector<std::int32_t>{5});
  CHECK(eos(R"({"do_sample":true})") == std::vector<std::int32_t>{2});
  CHECK(eos(R"({"eos_token_id":null})") == std::vector<std::int32_t>{2});
  contains(error_of([&] { eos(R"({"eos_token_id":"</s>"})"); }), "generation_config.json");
  contains(error_of([&] { eos("{"); }), "generation_config.json");
}

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

TEST_CASE("a packed layer stands for its weight, an embedding cannot") {
  const Architecture arch = parse(kLlama);
  Checkpoint packed(arch);
  packed.drop("model.layers.0.mlp.up_proj.weight");
  packed.add("model.layers.0.mlp.up_proj.codes", DType::u8, {1});
  CHECK(packed.mismatch(arch) == "no error");
  packed.drop("model.norm.weight");
  packed.add("model.norm.codes", DType::u8, {1});
  contains(packed.mismatch(arch), "model.norm.weight: got nothing");
  Checkpoint embedding(arch);
  embedding.drop(arch.embedding);
  embedding.add("model.embed_tokens.codes", DType::u8, {1});
  contains(embedding.mismatch(arch), "embed_tokens.weight: got nothing");
}

TEST_CASE("the prefix of the language model may be missing") {
  for (const auto& config : {kGpt2, with(kLlama, R"({"tie_word_embeddings":true})"), kLlama}) {
    Architecture arch = parse(config);
    Checkpoint bare(arch);
    for (auto& tensor : bare.tensors)
      for (const std::string_view prefix : {"model.", "transformer."})
        if (tensor.name.starts_with(prefix)) tensor.name.erase(0, prefix.size());
    bare.add("h.0.attn.bias", DType::u8, {1, 1, 16, 16});  // GPT-2's mask, a buffer
    const Safetensors weights = bare.open();
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
    const Safetensors weights = elsewhere.open();
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
      match_weights(matched, checkpoint.open());
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
    match_weights(swapped, alone.open());
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
    match_weights(matched, checkpoint.open());
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
  const Safetensors weights = Safetensors::open_folder(folder);
  match_weights(arch, weights);
  CHECK(arch.tied());
  std::int64_t parameters = 0;
  for (const auto& [name, shape] : tensor_shapes(arch)) parameters += weights.get(name).numel();
  CHECK(parameters == 260032);
}
