// Descriptions of mixtures of experts, and checkpoints that hold all experts in one tensor.
#include <doctest/doctest.h>

#include "karat/safetensors.h"
#include "load/config_testing.h"

using namespace karat;
using namespace karat::testing;
using nlohmann::json;

namespace {

const json kMixture = with(kLlama, R"({"model_type":"qwen3_moe","num_hidden_layers":4,
    "num_experts":3,"num_experts_per_tok":2,"moe_intermediate_size":8})");

std::vector<bool> sparse(const char* changes) {
  std::vector<bool> found;
  for (const Block& block : parse(with(kMixture, changes)).blocks)
    found.push_back(block.mlp.router.has_value());
  return found;
}

/// A checkpoint of F32 tensors, each of 0, 1, 2 …, with `stack` in the place of what `part` names.
struct Stacked {
  Stacked(const Architecture& arch, const std::string& part, std::vector<NamedShape> stacks) {
    std::vector<NamedShape> shapes = tensor_shapes(arch);
    std::erase_if(shapes, [&](const NamedShape& named) {
      return named.name.starts_with("model.layers.0.") && named.name.find(part) != part.npos;
    });
    shapes.insert(shapes.end(), stacks.begin(), stacks.end());
    std::vector<OwnedTensor> tensors;
    for (const auto& [name, shape] : shapes) {
      OwnedTensor tensor{name, DType::f32, shape, {}};
      std::vector<float> values(static_cast<std::size_t>(tensor.view().numel()));
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
      tensors.push_back(own_bytes(name, DType::f32, shape, std::as_bytes(std::span(values))));
    }
    std::vector<TensorView> views;
    for (const OwnedTensor& tensor : tensors) views.push_back(tensor.view());
    write_safetensors(folder / "model.safetensors", views, {});
  }
  Safetensors matched(Architecture arch) const {
    Safetensors weights = Safetensors::open_folder(folder.path());
    match_weights(arch, weights);
    CHECK(arch.warnings.empty());
    return weights;
  }
  TempFolder folder;
};

}  // namespace

TEST_CASE("which blocks are sparse") {
  CHECK(sparse("{}") == std::vector{true, true, true, true});
  CHECK(sparse(R"({"decoder_sparse_step":2})") == std::vector{false, true, false, true});
  CHECK(sparse(R"({"mlp_only_layers":[0,3,9]})") == std::vector{false, true, true, false});
  CHECK(sparse(R"({"mlp_only_layers":null})") == std::vector{true, true, true, true});
}

TEST_CASE("one visitor hands out the layers of every expert, and none of the router's") {
  const Architecture arch = parse(with(kMixture, R"({"mlp_only_layers":[1]})"));
  const Block& block = arch.blocks[0];
  CHECK(block.linears().size() == 4 + 3 * 3);
  CHECK(arch.blocks[1].linears().size() == 7);
  std::vector<std::string> downs;
  visit_linears(block, [&](Role role, const Linear& linear) {
    if (role == Role::expert_down) downs.push_back(linear.name);
  });
  REQUIRE(downs.size() == 3);
  CHECK(downs[2] == "model.layers.0.mlp.experts.2.down_proj");
  CHECK(layers_reading(Input::mlp, block).empty());
  CHECK(block.mlp.experts[1].gate.out == 8);
  CHECK(block.top_k == 2);
  CHECK_FALSE(block.shares_of_chosen);
  CHECK(parse(with(kMixture, R"({"norm_topk_prob":true})")).blocks[0].shares_of_chosen);
}

TEST_CASE("an expert for all tokens") {
  const Architecture arch =
      parse(with(kMixture, R"({"model_type":"qwen2_moe","shared_expert_intermediate_size":24})"));
  CHECK(arch.blocks[0].linears().size() == 7 + 3 * 3);
  CHECK(arch.blocks[0].mlp.down.in == 24);
  CHECK(arch.blocks[0].mlp.own_share->out == 1);
}

TEST_CASE("configs of experts that cannot be are refused by name") {
  const auto bad = [](const char* changes) { return refusal(with(kMixture, changes)); };
  contains(bad(R"({"num_experts_per_tok":4})"),
           "num_experts_per_tok 4, expected at most the 3 experts");
  contains(bad(R"({"num_experts_per_tok":0})"), "num_experts_per_tok 0");
  contains(bad(R"({"num_experts":0})"), "num_experts 0");
  contains(bad(R"({"num_experts":5000})"), "from 1 to 4096");
  contains(bad(R"({"num_local_experts":4})"), "num_local_experts 4, expected 3, as num_experts");
  contains(bad(R"({"moe_intermediate_size":0})"), "moe_intermediate_size 0");
  contains(bad(R"({"decoder_sparse_step":0})"), "decoder_sparse_step 0");
  contains(bad(R"({"mlp_only_layers":1})"), "a list of layers");
  contains(bad(R"({"mlp_only_layers":[-1]})"), "a list of layers");
  contains(refusal(with(kLlama, R"({"num_experts":3})")), "num_experts 3, expected none");
  contains(bad(R"({"model_type":"olmoe","clip_qkv":8})"), "clip_qkv 8, expected none");
}

TEST_CASE("tensors of all experts are cut into one each") {
  const Architecture arch = parse(kMixture);
  const std::string place = "model.layers.0.mlp.experts.";
  const Stacked both(arch, ".experts.",
                     {{place + "gate_up_proj", {3, 16, 64}}, {place + "down_proj", {3, 64, 8}}});
  const Stacked apart(arch, ".up_proj", {{place + "up_proj.weight", {3, 8, 64}}});
  const auto first = [&](const Safetensors& weights, const char* layer) {
    const TensorView& view = weights.get(place + layer + ".weight");
    CHECK(view.shape.size() == 2);
    return to_floats(view)[0] / static_cast<float>(view.shape[1]);  // the row that it begins with
  };
  const Safetensors one = both.matched(arch), other = apart.matched(arch);
  CHECK(first(one, "2.gate_proj") == 32);
  CHECK(first(one, "2.up_proj") == 40);
  CHECK(first(one, "2.down_proj") == 128);
  CHECK(one.find(place + "gate_up_proj") == nullptr);
  CHECK(first(other, "2.up_proj") == 16);
  CHECK(first(other, "2.gate_proj") == 0);

  const auto error = [&](const std::vector<std::int64_t>& shape) {
    const Stacked wrong(arch, ".up_proj", {{place + "up_proj.weight", shape}});
    return error_of([&] { wrong.matched(arch); });
  };
  contains(error({2, 8, 64}), "shape [2, 8, 64], expected [experts, rows, 64] with 24 rows in all");
  contains(error({3, 64, 8}), "shape [3, 64, 8]");
  contains(error({24, 64}), "shape [24, 64]");
}
