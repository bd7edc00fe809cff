// quantize: the second sweep. Each block is solved as it comes by. Later blocks see what this one
// computes with its new weights, as in GPTQ, or what the original did, as in DAQ (Recipe::inputs).
#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <numeric>

#include "model/parallel.h"
#include "pipeline/fold.h"
#include "pipeline/quantized_layer.h"
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

/// The most expensive layers first, as a Hessian makes them: who takes the last one then keeps the
/// others waiting least.
std::vector<std::size_t> by_size(const std::vector<const Linear*>& linears) {
  std::vector<std::size_t> order(linears.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater(), [&](auto i) {
    return linears[i]->out * linears[i]->in * linears[i]->in;
  });
  return order;
}

/// A rotation spreads each weight over all: those to keep are taken out before it, and what is
/// stored over the rest makes them whole in the layer's own basis.
Solution solve_rotated(const Solver& solver, const Grid& grid, const Layer& layer, const Kept& kept,
                       const Basis& basis) {
  Layer rest = layer;
  if (kept.defined()) rest.weight = layer.weight.masked_fill(kept, 0);
  Solution solution = solver.solve(in_basis(rest, basis), {}, grid);
  solution.weight = in_basis(layer, {.multiplier = basis.multiplier}).weight;
  solution.kept = kept;
  return solution;
}

/// transform (unless that is done), solve, store.
Stored store_layer(const Assembled& recipe, const Grid& grid, const BlockLayer& one) {
  const auto& [layer, kept, folded] = one;
  const Basis basis =
      recipe.transform.fit && !folded ? recipe.transform.fit(layer, kept, grid) : Basis{};
  Solution solution = basis.rotation ? solve_rotated(recipe.solver, grid, layer, kept, basis)
                                     : recipe.solver.solve(in_basis(layer, basis), kept, grid);
  solution.basis = basis;
  return grid.store(layer.name, solution);
}

QuantizedLayer solve_layer(const Assembled& recipe, const LayerWidths& widths,
                           const BlockLayer& one, torch::Tensor& decoded) {
  const Layer& layer = one.layer;
  const auto width = widths.find(layer.name);
  const bool mixed = width != widths.end();
  const Grid& grid = mixed ? recipe.widths.grids.at(width->second.bits) : recipe.grid;
  const auto start = std::chrono::steady_clock::now();
  Stored stored = store_layer(recipe, grid, one);
  decoded = stored.decoded;
  QuantizedLayer done = quantized_layer(layer, std::move(stored));
  if (mixed) note_width(width->second, done.report);
  done.report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return done;
}

}  // namespace

void quantize(const Source& model, const Assembled& recipe, const CalibrationSet& text,
              const Plan& plan, const Carried& carried, const BlockStore& ends, BlockStore& done,
              const ProgressFn& progress) {
  SweepOptions options{.needs = recipe.solve_needs().forward(), .first = done.finished()};
  options.propagate = options.needs.any() && recipe.recipe.inputs == "quantized";
  options.progress = progress;
  options.token_weights = [&](const auto& layer) { return carried.get(layer, "token_weights"); };
  if (options.propagate)
    options.edit = [&](std::size_t block, Weights& weights) {
      if (block < options.first) done.decode(block, weights);
      if (block == model.arch.blocks.size() && ends.finished() > 0)
        decode_embedding(model, ends, text.ids, weights);
    };
  sweep(model.arch, model.files, text, options, [&](BlockVisit& block) {
    const auto linears = model.arch.blocks[block.index].linears();
    std::vector<QuantizedLayer> layers(linears.size());
    std::vector<torch::Tensor> decoded(linears.size());
    BlockLayers todo;
    for (const Linear* linear : linears) {
      const std::string& name = linear->name;
      Layer layer{name, block.weights.at(name + ".weight"), block.stats_of(name)};
      if (recipe.solve_needs().fisher) layer.stats.fisher = carried.get(name, "fisher");
      if (recipe.solve_needs().factors != Sketch::none) {
        layer.stats.input_factor = carried.get(name, "input_factor");
        layer.stats.output_factor = carried.get(name, "output_factor");
      }
      todo[name] = {layer, mask_of(plan.kept, name, layer.weight)};
    }
    ChangedTensors changed;
    if (recipe.transform.fold) changed = fold(model.arch, block, recipe, todo);
    const std::vector<std::size_t> order = by_size(linears);
    std::atomic<std::size_t> next = 0;  // threads begin with shares, not with what comes first
    parallel_indices(static_cast<std::int64_t>(order.size()), options.device, [&](auto) {
      const std::size_t i = order[next++];
      layers[i] = solve_layer(recipe, plan.widths, todo.at(linears[i]->name), decoded[i]);
    });
    for (std::size_t i = 0; i < linears.size(); ++i)
      block.weights[linears[i]->name + ".weight"] = decoded[i];
    done.put(block.index, layers, changed);
  });
}

}  // namespace karat
