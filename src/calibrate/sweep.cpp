// The block-wise sweep (DESIGN.md §4): a model's gradients with the memory of one block.
#include <fmt/format.h>

#include <cmath>

#include "calibrate/activations.h"
#include "calibrate/check_set.h"
#include "calibrate/ends_stats.h"
#include "calibrate/expert_stats.h"
#include "calibrate/factor_stats.h"
#include "calibrate/guided_stats.h"
#include "calibrate/input_stats.h"
#include "calibrate/memory.h"
#include "core/checked.h"
#include "core/finite.h"
#include "karat/calibrate.h"
#include "karat/error.h"
#include "model/experts.h"
#include "model/parallel.h"

namespace karat {
namespace {

LinearObserver both(const LinearObserver& first, const LinearObserver& second) {
  if (!first || !second) return first ? first : second;
  return [=](const Linear& layer, const torch::Tensor& input, const torch::Tensor& output) {
    first(layer, input, output);
    second(layer, input, output);
  };
}

class Sweep {
 public:
  Sweep(const Architecture& arch, const Safetensors& file, const CalibrationSet& set,
        const SweepOptions& options, const BlockVisitor& visitor)
      : arch_(arch), file_(file), ids_(set.ids), options_(options), visitor_(visitor) {
    if (options.needs.ends) ends_.emplace(arch, set.ids);
  }

  void load_and_visit() {
    Progress progress("blocks", blocks(), options_.progress);
    progress.step(static_cast<std::int64_t>(options_.first));
    for (std::size_t block = options_.first; block < arch_.blocks.size(); ++block) {
      Weights weights = load(block);
      visit(block, weights, {});
      progress.step();
    }
  }

  /// Returns the mean loss, where one is asked for.
  double forward_only() {
    const bool spills = options_.needs.blocks && !options_.scratch.empty() &&
                        activation_bytes(3) > resident_bytes();
    if (!spills) reserve(options_.needs.blocks ? 4 : 2);
    Progress progress("statistics", blocks(), options_.progress);
    Forward at{.inputs = placed(embedded(true), spills), .placed = spills};
    if (apart()) at.originals = placed(embedded(false), spills);
    if (spills && !options_.propagate) at.spare = on_disk();
    for (std::size_t block = 0; block < arch_.blocks.size(); ++block) {
      if (block < options_.first)
        pass_by(block, at);
      else
        visit_forward(block, at);
      progress.step();
    }
    double sum = 0;
    if (options_.loss)
      for (std::int64_t s = 0; s < sequences(); ++s)
        sum += options_.loss(s, at.inputs[static_cast<std::size_t>(s)]);
    return sum / static_cast<double>(sequences());
  }

  /// Returns the mean loss.
  double with_gradients() {
    reserve(blocks() + 1);
    Progress progress("gradient", 4 * blocks(),
                      options_.progress);  // a backward costs three forwards
    std::vector<HiddenStates> inputs{embedded(true)};
    for (std::size_t block = 0; block < arch_.blocks.size(); ++block) {
      const Weights weights = load(block);
      HiddenStates y;
      for (const auto& x : inputs.back()) y.push_back(run(block, weights, x, {}));
      inputs.push_back(std::move(y));
      progress.step();
    }
    const double loss = loss_gradients(inputs.back());  // now ∂L/∂(output of the last block)
    HiddenStates gradients = std::move(inputs.back());
    for (std::size_t block = arch_.blocks.size(); block-- > 0;) {
      inputs.pop_back();
      backward(block, inputs.back(), gradients);
      progress.step(3, fmt::format("loss {:.4f}", loss));
    }
    if (ends_) ends_->see_inputs(gradients);
    return loss;
  }

  EndsFisher ends() const { return ends_ ? ends_->finish() : EndsFisher{}; }

 private:
  /// Where a sweep without gradients has come to.
  struct Forward {
    HiddenStates inputs = {};     // of the next block
    HiddenStates originals = {};  // its inputs in the original model, where these are kept apart
    HiddenStates spare = {};      // places for its outputs, where these do not take their place
    bool placed = false;          // all of these lie on disk
  };
  /// Whether the inputs that the visitor left are others than the original model's, and both are
  /// asked for.
  bool apart() const { return options_.needs.blocks && options_.propagate; }

  double activation_bytes(std::int64_t layers) const {
    return static_cast<double>(layers * ids_.numel()) * static_cast<double>(arch_.hidden) *
           sizeof(float);
  }
  double resident_bytes() const {
    return options_.resident > 0 ? options_.resident : available_memory() / 2;
  }
  HiddenStates on_disk() const {
    return states_on_disk(options_.scratch, sequences(), ids_.size(1), arch_.hidden);
  }
  HiddenStates placed(HiddenStates x, bool spills) const {
    if (!spills) return x;
    HiddenStates places = on_disk();
    for (std::size_t s = 0; s < x.size(); ++s) places[s].copy_(std::exchange(x[s], {}));
    return places;
  }

  void run_all(std::size_t block, const Weights& weights, HiddenStates& x, bool in_place) const {
    for (torch::Tensor& one : x) {
      const torch::Tensor y = run(block, weights, one, {});
      if (in_place)
        one.copy_(y);
      else
        one = y;
    }
  }

  /// A block that was visited before.
  void pass_by(std::size_t block, Forward& at) const {
    run_all(block, load(block), at.inputs, at.placed);
    if (apart())
      run_all(block, load_block(arch_, file_, block, options_.device), at.originals, at.placed);
  }

  /// What the block writes as it is loaded, which statistics see; nothing where nobody asks.
  HiddenStates observed(std::size_t block, const Weights& weights, Forward& at,
                        const LinearObserver& observe) {
    if (apart() && !observe) return {};
    HiddenStates y(at.inputs.size());
    for (std::size_t s = 0; s < y.size(); ++s) {
      const torch::Tensor one = run(block, weights, at.inputs[s], observe);
      if (!apart()) y[s] = at.spare.empty() ? one : at.spare[s].copy_(one);
      if (!options_.propagate && !options_.needs.blocks) at.inputs[s] = torch::Tensor();
    }
    return y;
  }

  void visit_forward(std::size_t block, Forward& at) {
    Weights weights = load(block);
    InputStats inputs(options_.needs);
    GuidedStats guided(options_.needs, options_.token_weights);
    ExpertStats experts(arch_.blocks[block]);
    const LinearObserver observer = both(inputs.observer(), guided.observer());
    HiddenStates y =
        observed(block, weights, at, observer ? both(observer, experts.observer()) : observer);
    if (apart()) {
      run_all(block, weights, at.originals, at.placed);
      y = at.originals;
    }
    std::map<std::string, LinearStats> stats;
    inputs.finish(stats);
    guided.finish(stats);
    experts.finish(stats);
    if (options_.needs.blocks)
      visit(block, weights, std::move(stats), at.inputs, y);
    else
      visit(block, weights, std::move(stats));
    if (options_.propagate)
      run_all(block, weights, at.inputs, at.placed);
    else
      at.spare = std::exchange(at.inputs, std::move(y));
    if (!at.placed) at.spare.clear();
  }

  std::int64_t blocks() const { return static_cast<std::int64_t>(arch_.blocks.size()); }
  std::int64_t sequences() const { return ids_.size(0); }
  Weights load(std::size_t block) const {
    Weights weights = load_block(arch_, file_, block, options_.device);
    if (options_.edit) options_.edit(block, weights);
    return weights;
  }

  void reserve(std::int64_t layers) const {
    std::int64_t rows = layers * ids_.numel();
    if (ends_) rows += 2 * arch_.vocab;  // the head and its gradient
    check_memory("calibration activations",
                 static_cast<double>(rows) * static_cast<double>(arch_.hidden) * sizeof(float),
                 "ask for fewer or shorter sequences");
  }

  void visit(std::size_t block, Weights& weights, std::map<std::string, LinearStats> stats,
             HiddenStates inputs = {}, HiddenStates outputs = {}) const {
    file_.check();  // before the visitor uses what was made of it
    BlockVisit visit{block, weights, std::move(stats), std::move(inputs), std::move(outputs)};
    visitor_(visit);
    file_.check();
  }

  /// Only the rows of the mapped embedding that the ids name are up-cast.
  HiddenStates embedded(bool edited) const {
    Weights ends{{arch_.embedding, map_tensor(file_.get(arch_.embedding))}};
    if (!arch_.positions.empty())
      ends[arch_.positions] = map_tensor(file_.get(arch_.positions)).to(torch::kFloat32);
    if (edited && options_.edit) options_.edit(arch_.blocks.size(), ends);
    HiddenStates x;
    for (std::int64_t s = 0; s < sequences(); ++s)
      x.push_back(
          finite(embed(arch_, ends, ids_.narrow(0, s, 1)).to(torch::kFloat32), arch_.embedding));
    return x;
  }

  static torch::Tensor finite(torch::Tensor x, const std::string& where) {
    if (!all_finite(x))
      fail("calibration", "NaN or infinite activations after " + where, "finite numbers",
           "the weights there are damaged or overflow");
    return x;
  }

  /// One block on one sequence; activations wait in the CPU's memory.
  torch::Tensor run(std::size_t block, const Weights& weights, const torch::Tensor& x,
                    const LinearObserver& observe) const {
    return finite(block_forward(arch_, block, weights, x.to(options_.device), observe),
                  fmt::format("block {}", block))
        .to(torch::kCPU);
  }

  /// Replaces the outputs of the last block by the gradients of their sequence's loss.
  double loss_gradients(HiddenStates& outputs) {
    const torch::AutoGradMode grad(true);
    Weights head;
    if (!options_.loss) head = load_head(arch_, file_, options_.device);
    if (ends_) head.at(arch_.head).requires_grad_();
    double sum = 0;
    for (std::int64_t s = 0; s < sequences(); ++s) {
      auto& output = outputs[static_cast<std::size_t>(s)];
      if (options_.loss) {
        sum += options_.loss(s, output);
        continue;
      }
      const auto x = output.to(options_.device).detach().requires_grad_();
      const auto ids = ids_.narrow(0, s, 1);
      const bool drawn = options_.needs.factors != Sketch::none;
      const auto loss = next_token_loss(arch_, head, x, ids.to(options_.device),
                                        drawn ? label_draws(ids) : torch::Tensor());
      const double value = loss.item<double>();
      if (!std::isfinite(value))
        fail("calibration", "a loss that is not finite", "finite logits",
             "look at " + arch_.final_norm.name + " and " + arch_.head);
      sum += value;
      std::vector<torch::Tensor> sources{x};
      if (ends_) sources.push_back(head.at(arch_.head));
      const auto parts = torch::autograd::grad({loss}, sources);
      output = parts[0].to(torch::kCPU);
      if (ends_) ends_->see_head(s, parts[1].to(torch::kCPU));
    }
    return sum / static_cast<double>(sequences());
  }

  /// Visits `block`; consumes its inputs and replaces the gradients of its outputs by theirs.
  void backward(std::size_t block, HiddenStates& inputs, HiddenStates& gradients) {
    Weights weights = load(block);
    const auto linears = arch_.blocks[block].linears();
    std::vector<torch::Tensor> leaves;
    if (options_.needs.gradient || options_.needs.fisher)
      for (const Linear* linear : linears)
        leaves.push_back(weights.at(linear->name + ".weight").requires_grad_());
    InputStats observed(options_.needs);
    GuidedStats guided(options_.needs);
    FactorStats factors(options_.needs.factors);
    ExpertStats experts(arch_.blocks[block]);
    const auto observer = [&] {
      return both(both(both(observed.observer(), guided.observer()), factors.observer()),
                  experts.observer());
    };
    std::map<std::string, LinearStats> stats;
    for (std::size_t s = 0; s < inputs.size(); ++s) {
      auto parts = differentiate(block, weights, leaves, std::exchange(inputs[s], {}), gradients[s],
                                 observer());
      for (std::size_t i = 0; i < parts.size(); ++i)
        accumulate(stats[linears[i]->name], std::move(parts[i]));
    }
    for (auto& leaf : leaves) leaf.requires_grad_(false);
    leaves.clear();
    for (auto& [name, of_layer] : stats) finish(of_layer);
    observed.finish(stats);
    guided.finish(stats);
    factors.finish(stats);
    experts.finish(stats);
    visit(block, weights, std::move(stats));
  }

  /// Gradients of the leaves for one sequence; `gradient` goes from the block's output to its
  /// input.
  std::vector<torch::Tensor> differentiate(std::size_t block, const Weights& weights,
                                           const std::vector<torch::Tensor>& leaves,
                                           torch::Tensor input, torch::Tensor& gradient,
                                           const LinearObserver& observe) const {
    const torch::AutoGradMode grad(true);
    auto sources = leaves;
    const auto x = input.to(options_.device).detach();
    const bool of_input = block > 0 || leaves.empty() || ends_;
    if (of_input) sources.push_back(x.requires_grad_());
    const auto y = block_forward(arch_, block, weights, x, observe);
    auto parts = gradients_of(y, sources, gradient.to(options_.device));
    if (of_input) {
      gradient = parts.back().to(torch::kCPU);
      parts.pop_back();
    }
    return parts;
  }

  void accumulate(LinearStats& stats, torch::Tensor part) const {
    if (options_.needs.fisher) {
      if (stats.fisher.defined())
        stats.fisher.addcmul_(part, part);
      else
        stats.fisher = part.square();
    }
    if (!options_.needs.gradient) return;
    stats.gradient = stats.gradient.defined() ? stats.gradient.add_(part) : std::move(part);
  }

  void finish(LinearStats& stats) const {
    const auto count = static_cast<double>(sequences());
    if (stats.gradient.defined() && sequences() > 1) stats.gradient.div_(count);
    if (stats.fisher.defined() && sequences() > 1) stats.fisher.div_(count);
  }

  const Architecture& arch_;
  const Safetensors& file_;
  torch::Tensor ids_;
  const SweepOptions& options_;
  const BlockVisitor& visitor_;
  std::optional<EndsStats> ends_;  // where they are needed
};

}  // namespace

SweepResult sweep(const Architecture& arch, const Safetensors& weights, const CalibrationSet& set,
                  const SweepOptions& options, const BlockVisitor& visitor) {
  const auto start = std::chrono::steady_clock::now();
  const torch::NoGradGuard no_grad;
  const SerialTorch serial;
  SweepResult result;
  Sweep sweep(arch, weights, set, options, visitor);
  const bool forward = options.needs.any() || options.propagate || options.loss;
  if (forward) check_set(arch, set, options);
  checked(weights, [&] {
    if (options.needs.backward())
      result.loss = sweep.with_gradients();
    else if (forward)
      result.loss = sweep.forward_only();
    else
      sweep.load_and_visit();
  });
  result.ends = sweep.ends();
  const std::chrono::duration<double> since = std::chrono::steady_clock::now() - start;
  result.seconds = since.count();
  return result;
}

}  // namespace karat
