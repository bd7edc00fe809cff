// quantize: the second sweep. Each block is solved as it comes by. Later blocks see what this one
// computes with its new weights, as in GPTQ, or what the original did, as in DAQ (Recipe::inputs).
#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <numeric>
#include <utility>

#include "model/parallel.h"
#include "pipeline/fold.h"
#include "pipeline/quantized_layer.h"
#include "pipeline/steps.h"
#include "pipeline/tune.h"
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

/// Of a layer, where the recipe mixes widths.
const LayerWidth* width_of(const LayerWidths& widths, const std::string& layer) {
  const auto found = widths.find(layer);
  return found == widths.end() ? nullptr : &found->second;
}

/// transform (unless that is done), solve.
SolvedLayer solve_layer(const Assembled& recipe, const LayerWidths& widths, const BlockLayer& one) {
  const auto& [layer, kept, folded] = one;
  const LayerWidth* width = width_of(widths, layer.name);
  const Grid& grid = width != nullptr ? recipe.widths.grids.at(width->bits) : recipe.grid;
  const Basis basis =
      recipe.transform.fit && !folded ? recipe.transform.fit(layer, kept, grid) : Basis{};
  SolvedLayer solved{.name = layer.name, .grid = grid};
  solved.solution = basis.rotation ? solve_rotated(recipe.solver, grid, layer, kept, basis)
                                   : recipe.solver.solve(in_basis(layer, basis), kept, grid);
  solved.solution.basis = basis;
  return solved;
}

/// The block's layers in one order, from what is known of them to what is stored.
class BlockWork {
 public:
  BlockWork(const Assembled& recipe, const LayerWidths& widths, BlockLayers& todo,
            const std::vector<const Linear*>& linears)
      : recipe_(recipe), widths_(widths), todo_(todo), linears_(linears), order_(by_size(linears)) {
    solved_.resize(linears.size());
    seconds_.resize(linears.size());
    done_.resize(linears.size());
  }

  /// All of them at once; else store() solves each as it comes to it, which takes less memory.
  void solve() {
    each([&](std::size_t i) {
      solved_[i] = solve_layer(recipe_, widths_, todo_.at(linears_[i]->name));
    });
  }
  std::vector<SolvedLayer>& solved() { return solved_; }

  /// For who learns from it later. To be called between the two.
  void put_solved(const SolutionStore& into, std::size_t block) {
    for (SolvedLayer& layer : solved_)
      if (const BlockLayer& one = todo_.at(layer.name); one.folded)
        layer.original = one.layer.weight;
    into.put(block, solved_);
  }

  /// Puts what the stored tensors decode to into `weights`, and lets go of each layer as it is
  /// stored: a block of many experts would not fit twice. To be called once.
  const std::vector<QuantizedLayer>& store(Weights& weights) {
    each([&](std::size_t i) {
      const BlockLayer one = std::exchange(todo_.at(linears_[i]->name), {});
      const Layer& layer = one.layer;
      SolvedLayer solved = std::exchange(solved_[i], {});
      if (solved.name.empty()) solved = solve_layer(recipe_, widths_, one);
      Stored stored = solved.grid.store(layer.name, solved.solution);
      weights.at(layer.name + ".weight") = stored.decoded;
      done_[i] = quantized_layer(layer, std::move(stored));
      if (const LayerWidth* width = width_of(widths_, layer.name))
        note_width(*width, done_[i].report);
    });
    for (std::size_t i = 0; i < done_.size(); ++i) done_[i].report.seconds = seconds_[i];
    return done_;
  }

 private:
  void each(const std::function<void(std::size_t)>& body) {
    std::atomic<std::size_t> next = 0;  // threads begin with shares, not with what comes first
    parallel_indices(static_cast<std::int64_t>(order_.size()), torch::kCPU, [&](auto) {
      const std::size_t i = order_[next++];
      const auto start = std::chrono::steady_clock::now();
      body(i);
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      seconds_[i] += taken.count();
    });
  }
  const Assembled& recipe_;
  const LayerWidths& widths_;
  BlockLayers& todo_;
  const std::vector<const Linear*>& linears_;
  std::vector<std::size_t> order_;
  std::vector<SolvedLayer> solved_;
  std::vector<QuantizedLayer> done_;
  std::vector<double> seconds_;
};

/// Every layer of the block as the recipe is to see it.
BlockLayers layers_of(const Assembled& recipe, const Plan& plan, const Carried& carried,
                      const BlockVisit& block, const std::vector<const Linear*>& linears) {
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
  return todo;
}

}  // namespace

void quantize(const Source& model, const Assembled& recipe, const CalibrationSet& text,
              const Plan& plan, const Carried& carried, const BlockStore& ends, BlockStore& done,
              const ProgressFn& progress, const SolutionStore* solved) {
  SweepOptions options{.needs = recipe.solve_needs().forward(), .first = done.finished()};
  options.propagate = options.needs.any() && recipe.recipe.inputs == "quantized";
  TuneProgress tuning(recipe.tuner, model, text, options.first, progress);
  const bool tunes = recipe.tuner.learns(false);
  if (!tunes) options.progress = progress;
  options.scratch = done.folder();
  options.token_weights = [&](const auto& layer) { return carried.get(layer, "token_weights"); };
  if (options.propagate)
    options.edit = [&](std::size_t block, Weights& weights) {
      if (block < options.first) done.decode(block, weights);
      if (block == model.arch.blocks.size() && ends.finished() > 0)
        decode_embedding(model, ends, text.ids, weights);
    };
  sweep(model.arch, model.files, text, options, [&](BlockVisit& block) {
    const auto linears = model.arch.blocks[block.index].linears();
    BlockLayers todo = layers_of(recipe, plan, carried, block, linears);
    ChangedTensors changed;
    if (recipe.transform.fold) changed = fold(model.arch, block, recipe, todo);
    BlockWork work(recipe, plan.widths, todo, linears);
    if (tunes || solved != nullptr) work.solve();
    if (tunes) tune(recipe.tuner, model.arch, block, work.solved(), tuning);
    if (solved != nullptr) work.put_solved(*solved, block.index);
    done.put(block.index, work.store(block.weights), changed);
  });
}

}  // namespace karat
