// quantize: the second sweep. Each block is solved as it comes by. Later blocks see what this one
// computes with its new weights, as in GPTQ, or what the original did, as in DAQ (Recipe::inputs).
#include <chrono>

#include "karat/error.h"
#include "model/parallel.h"
#include "pipeline/steps.h"
#include "recipe/basis.h"

namespace karat {
namespace {

Kept mask_of(const Chosen& chosen, const std::string& name, const torch::Tensor& weight) {
  const auto found = chosen.find(name);
  if (found == chosen.end() || found->second.numel() == 0) return {};
  Kept kept = torch::zeros(weight.sizes(), weight.options().dtype(torch::kBool));
  kept.view(-1).index_fill_(0, found->second.to(weight.device()), true);
  return kept;
}

/// Σ (E H) ∘ E in double; H undefined counts as the identity.
double energy(const torch::Tensor& error, const torch::Tensor& hessian) {
  const torch::Tensor moved = hessian.defined() ? error.matmul(hessian) : error;
  return (moved * error).sum(1, /*keepdim=*/false, torch::kFloat64).sum().item<double>();
}
double relative(const torch::Tensor& error, const torch::Tensor& weight,
                const torch::Tensor& hessian = {}) {
  const double whole = energy(weight, hessian);
  return whole > 0 ? energy(error, hessian) / whole : 0;
}

double bits_of(const std::vector<OwnedTensor>& tensors) {
  double bits = 0;
  for (const OwnedTensor& tensor : tensors) bits += 8.0 * static_cast<double>(tensor.data.size());
  return bits;
}

/// transform, solve, store.
Stored store_layer(const Assembled& recipe, const Layer& layer, const Kept& kept) {
  const Basis basis =
      recipe.transform.fit ? recipe.transform.fit(layer, kept, recipe.grid) : Basis{};
  Solution solution = recipe.solver.solve(in_basis(layer, basis), kept, recipe.grid);
  solution.basis = basis;
  return recipe.grid.store(layer.name, solution);
}

LayerReport solve_layer(const Assembled& recipe, const Layer& layer, const Kept& kept,
                        Stored& stored) {
  const auto start = std::chrono::steady_clock::now();
  stored = store_layer(recipe, layer, kept);
  if (!stored.decoded.isfinite().all().item<bool>())
    fail("quantize " + layer.name, "values beyond the range of FP16", "smaller weights");
  const torch::Tensor error = layer.weight - stored.decoded;
  const auto count = static_cast<double>(layer.weight.numel());
  LayerReport report{.name = layer.name, .out = layer.weight.size(0), .in = layer.weight.size(1)};
  report.bits = bits_of(stored.tensors) / count;
  report.kept_share =
      kept.defined() ? static_cast<double>(kept.sum().item<std::int64_t>()) / count : 0;
  report.weight_error = relative(error, layer.weight);
  if (layer.stats.hessian.defined())
    report.output_error = relative(error, layer.weight, layer.stats.hessian);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace

std::vector<LayerReport> quantize_blocks(const Source& model, const Assembled& recipe,
                                         const CalibrationSet& text, const Chosen& kept,
                                         const Carried& carried, const TakeTensors& take,
                                         const ProgressFn& progress) {
  std::vector<LayerReport> reports;
  const Needs needs = recipe.solve_needs().forward();
  const bool propagate = needs.any() && recipe.recipe.inputs == "quantized";
  const SweepOptions options{.needs = needs, .propagate = propagate, .progress = progress};
  sweep(model.arch, model.files, text, options, [&](BlockVisit& block) {
    const auto linears = model.arch.blocks[block.index].linears();
    std::vector<Stored> stored(linears.size());
    std::vector<LayerReport> block_reports(linears.size());
    parallel_indices(static_cast<std::int64_t>(linears.size()), options.device, [&](auto i) {
      const std::string& name = linears[i]->name;
      Layer layer{name, block.weights.at(name + ".weight"), block.stats_of(name)};
      if (recipe.grid.needs.fisher) layer.stats.fisher = carried.fisher(name);
      block_reports[i] = solve_layer(recipe, layer, mask_of(kept, name, layer.weight), stored[i]);
    });
    for (std::size_t i = 0; i < linears.size(); ++i) {
      block.weights[linears[i]->name + ".weight"] = stored[i].decoded;
      take(linears[i]->name, stored[i]);
      reports.push_back(block_reports[i]);
    }
  });
  return reports;
}

}  // namespace karat
