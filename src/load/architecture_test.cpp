// config.json of every family and every way it can lie.
#include "karat/architecture.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "load/config_testing.h"

using namespace karat;
using namespace karat::testing;
using nlohmann::json;

namespace {

std::vector<std::int64_t> windows(const Architecture& arch) {
  std::vector<std::int64_t> list;
  for (const Block& block : arch.blocks) list.push_back(block.window);
  return list;
}

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
  CHECK(block.mlp.norm->eps == 1e-5f);
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
  for (const Linear* linear : layers_reading(Input::attention, arch.blocks[0])) CHECK(linear->bias);
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
  CHECK(block.attention.norm->kind == Norm::Kind::layer);
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

TEST_CASE("the text inside a model of images and text") {
  const auto inside = [](const char* type, const json& text, const char* changes = "{}") {
    return with(json{{"model_type", type}, {"text_config", text}}, changes);
  };
  // As the first LLaVA wrote it: what its text leaves out is that of Llama 2 7B.
  const Architecture llava =
      parse(inside("llava", json::parse(R"({"model_type":"llama","vocab_size":32064})")));
  CHECK(llava.family == "llava");
  CHECK(llava.vocab == 32064);
  CHECK(llava.hidden == 4096);
  CHECK(llava.blocks.size() == 32);
  CHECK(llava.places.size() == 3);
  CHECK(llava.warnings.empty());

  const json qwen = with(kLlama, R"({"model_type":"qwen2"})");
  CHECK(parse(inside("llava", qwen)).blocks[0].attention.q.bias);
  CHECK(parse(inside("llava", with(qwen, R"({"tie_word_embeddings":true})"))).tied());
  contains(refusal(inside("llava", with(kLlama, R"({"model_type":"bert"})"))),
           "got model_type \"bert\", expected one of ");
  contains(parse(inside("llava", with(kLlama, R"({"zeal":1})"))).warnings.at(0),
           "says text_config.zeal");

  const json mistral = with(kLlama, R"({"model_type":"mistral","sliding_window":null})");
  CHECK(parse(inside("mistral3", mistral)).tied());  // unless a head lies beside the embedding
  CHECK(!parse(inside("mistral3", mistral, R"({"tie_word_embeddings":false})")).tied());

  const Architecture flat = parse(with(kLlama, R"({"model_type":"qwen2_vl"})"));
  const Architecture nested = parse(inside("qwen2_vl", kLlama));
  CHECK(flat.ropes[0].frequencies == nested.ropes[0].frequencies);
  CHECK(flat.ropes[0].frequencies != parse(kLlama).ropes[0].frequencies);  // its own rope_theta
  CHECK(flat.blocks.size() == nested.blocks.size());
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
  contains(bad(R"({"hidden_act":"tanh"})"), "silu, gelu");
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
