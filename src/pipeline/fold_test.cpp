#include <doctest/doctest.h>
#include <fmt/format.h>

#include <set>

#include "core/temporary.h"
#include "model/testing.h"
#include "pipeline/fold.h"
#include "pipeline/steps.h"

using namespace karat;

namespace {

/// Factors as the gradient of a layer has them, [out, in] a sequence.
void add_factors(Layer& layer) {
  const torch::Tensor gradient = torch::randn_like(layer.weight);
  layer.stats.input_factor = gradient.t().matmul(gradient);
  layer.stats.output_factor = gradient.matmul(gradient.t());
}

/// tr(H_O W H_I Wᵀ), the same in every basis.
double cost_of(const Layer& layer) {
  const torch::Tensor left = layer.stats.output_factor.matmul(layer.weight);
  return (left.matmul(layer.stats.input_factor) * layer.weight).sum().item<double>();
}

}  // namespace

TEST_CASE("a folded block computes what it did, in the basis of the transform") {
  const Assembled awq = assemble(find_method("awq"), {.group = "16"});
  for (const auto& entry : std::filesystem::directory_iterator(kFamilies)) {
    const std::string family = entry.path().filename();
    CAPTURE(family);
    FamilyFixture fixture(family);
    const Source model = load(kFamilies / family);
    CalibrationSet text;
    text.ids = fixture.ids().to(torch::kInt64).clone();
    torch::manual_seed(3);
    const torch::Tensor x = torch::randn({2, 6, model.arch.hidden});
    sweep(model.arch, model.files, text, {.needs = awq.solve_needs().forward()},
          [&](BlockVisit& block) {
            const Weights original = block.weights;
            BlockLayers layers;
            for (const Linear* linear : model.arch.blocks[block.index].linears())
              layers[linear->name] = {{linear->name, original.at(linear->name + ".weight"),
                                       block.stats_of(linear->name)},
                                      {}};
            std::map<std::string, double> costs;
            for (auto& [name, one] : layers) {
              add_factors(one.layer);
              costs[name] = cost_of(one.layer);
            }
            const ChangedTensors changed = fold(model.arch, block, awq, layers);
            const Block& parts = model.arch.blocks[block.index];
            const Mlp& mlp = parts.mlp;
            if (const auto& norm = parts.attention.norm)
              CHECK(changed.contains(norm->name + ".weight"));
            if (mlp.norm)
              CHECK(changed.contains(mlp.norm->name + ".weight") != mlp.router.has_value());
            std::size_t without = 2;  // o and down, whose rows may not be a layer's own
            if (!parts.attention.norm) without += layers_reading(Input::attention, parts).size();
            if (mlp.router || (!mlp.norm && parts.joining != Joining::shared))
              without += layers_reading(Input::mlp, parts).size() +
                         layers_reading(Input::expert, parts).size();
            std::set<std::string> rows = {mlp.up.name};  // made for down, not read by a norm
            for (const Expert& expert : mlp.experts) rows.insert(expert.up.name);
            std::size_t folded = 0, moved = 0;
            for (const auto& [name, one] : layers) {
              block.weights[name + ".weight"] = one.layer.weight;
              const bool same = torch::equal(one.layer.weight, original.at(name + ".weight"));
              CHECK(cost_of(one.layer) == doctest::Approx(costs.at(name)).epsilon(1e-3));
              if (one.folded) ++folded;
              if (!same) ++moved;
              CHECK((one.folded || same || rows.contains(name)));
            }
            CHECK(moved > 0);
            CHECK(folded + without >= layers.size());
            const torch::Tensor before = block_forward(model.arch, block.index, original, x);
            const torch::Tensor after = block_forward(model.arch, block.index, block.weights, x);
            CHECK(torch::allclose(before, after, 1e-4, 1e-5 * before.abs().max().item<double>()));
          });
  }
}

TEST_CASE("scales that are not folded are stored, folded ones are not") {
  const Source model = load(kFamilies / "llama3");
  CalibrationSet text;
  text.ids = FamilyFixture("llama3").ids().to(torch::kInt64).clone();
  for (const bool folded : {false, true}) {
    const Assembled awq =
        assemble(find_method("awq"), {.transform = folded ? "scale:fold=1" : "scale"});
    const TemporaryFolder folder;
    BlockStore store(folder.path);
    quantize(model, awq, text, {}, Carried(folder.path / "carried"),
             BlockStore(folder.path / "ends"), store, {});
    for (const LayerReport& layer : store.get(0).reports) {
      const bool mergeable =
          !layer.name.ends_with("o_proj") || model.arch.heads == model.arch.kv_heads;
      CHECK(store.get(0).layouts.at(layer.name).input_scales == !(folded && mergeable));
      CHECK(layer.weight_error < 0.1);
    }
  }
}
