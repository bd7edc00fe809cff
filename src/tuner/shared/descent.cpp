#include "tuner/shared/descent.h"

#include <fmt/format.h>

#include <cmath>

#include "karat/error.h"
#include "karat/progress.h"
#include "tuner/shared/batches.h"

namespace karat {
namespace {

using Tensors = std::vector<torch::Tensor>;

constexpr std::int64_t kKeepEvery = 8;  // steps; a run that is interrupted keeps the last one too

LayerTensors snapshot(const std::vector<Learned>& layers) {
  LayerTensors copy(layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i)
    for (const torch::Tensor& leaf : layers[i].leaves) copy[i].push_back(leaf.detach().clone());
  return copy;
}

void restore(const LayerTensors& from, std::vector<Learned>& layers) {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < layers.size(); ++i)
    for (std::size_t k = 0; k < from[i].size(); ++k) layers[i].leaves[k].copy_(from[i][k]);
}

/// Weights as a loss asks for them; a graph that it had recorded waits for its gradient.
class LearnedWeights {
 public:
  explicit LearnedWeights(const std::vector<Learned>& layers)
      : layers_(layers), graphs_(layers.size()), gradients_(layers.size()) {}

  torch::Tensor weights(std::size_t layer) {
    torch::Tensor made = layers_[layer].weights();
    if (torch::GradMode::is_enabled()) graphs_[layer] = made;
    return made.detach();
  }
  void take(std::size_t layer, const torch::Tensor& gradient) {
    const torch::AutoGradMode grad(true);
    torch::Tensor made = std::exchange(graphs_[layer], {});
    if (!made.defined()) made = layers_[layer].weights();
    gradients_[layer] = torch::autograd::grad({made}, layers_[layer].leaves, {gradient});
  }
  const LayerTensors& gradients() const { return gradients_; }

 private:
  const std::vector<Learned>& layers_;
  Tensors graphs_;
  LayerTensors gradients_;
};

class Way {
 public:
  Way(const Descent& descent, std::vector<Learned>& layers, const TunedLoss& loss)
      : descent_(descent),
        layers_(layers),
        loss_(loss),
        batches_(loss.sequences - descent.held_out, descent.batch, loss.seed),
        judges_(
            static_cast<std::size_t>(descent.held_out > 0 ? descent.held_out : loss.sequences)) {
    std::iota(judges_.begin(), judges_.end(),
              loss.sequences - static_cast<std::int64_t>(judges_.size()));
  }

  void go() try {
    begin();
    while (step_ < descent_.steps) {
      if (step_ > 0 && judges_now()) keep_better(snapshot(layers_));
      advance();
      if (loss_.keep && step_ % kKeepEvery == 0) loss_.keep(state());
    }
    keep_better(snapshot(layers_));
    if (loss_.keep) loss_.keep(state());
    if (!of_batch_.empty()) keep_better(of_batch_);
    restore(best_, layers_);
  } catch (const Interrupted&) {
    if (loss_.keep && begun_) loss_.keep(state());
    throw;
  }

 private:
  void begin() {
    best_ = snapshot(layers_);
    TunerState former = state();
    if (loss_.resume && loss_.resume(former)) {
      go_on(former);
    } else {
      if (descent_.judged == 0) of_batch_ = best_;
      least_ = start_ = whole();
    }
    begun_ = true;
  }
  void advance() {
    LearnedWeights learned(layers_);
    const double loss = finite(slope(learned));
    if (descent_.judged == 0 && loss < least_of_batch_) {
      least_of_batch_ = loss;
      of_batch_ = snapshot(layers_);
    }
    descent_.update(step_, layers_, learned.gradients());
    ++step_;
    if (loss_.step) loss_.step(loss);
  }
  double slope(LearnedWeights& learned) try {
    return loss_.gradients([&](std::size_t i) { return learned.weights(i); }, batches_.next(),
                           [&](std::size_t i, const auto& gradient) { learned.take(i, gradient); });
  } catch (const Error& error) {
    throw Error(fmt::format("{}, step {}: {}", descent_.owner, step_ + 1, error.what()));
  }
  double finite(double loss) const {
    if (!std::isfinite(loss))
      fail(descent_.owner, fmt::format("a loss that is not finite, in step {}", step_ + 1),
           "one that falls", "a smaller rate");
    return loss;
  }
  bool judges_now() const {
    const std::int64_t every = descent_.steps / (descent_.judged + 1);
    return descent_.judged > 0 && every > 0 && step_ % every == 0;
  }
  /// Over those that judge, of the leaves as they are.
  double whole() const {
    LearnedWeights learned(layers_);
    const torch::NoGradGuard no_grad;
    return loss_.value([&](std::size_t i) { return learned.weights(i); }, judges_);
  }
  void keep_better(const LayerTensors& candidate) {
    restore(candidate, layers_);
    const double loss = whole();
    if (!(loss < least_)) return;
    least_ = loss;
    best_ = candidate;
  }

  /// Shares its tensors with what it describes.
  TunerState state() const {
    TunerState state{.step = step_, .start = start_, .loss = least_};
    for (std::size_t i = 0; i < layers_.size(); ++i)
      for (std::size_t k = 0; k < layers_[i].leaves.size(); ++k) {
        state.tensors[fmt::format("leaf.{}.{}", i, k)] = layers_[i].leaves[k].detach();
        state.tensors[fmt::format("best.{}.{}", i, k)] = best_[i][k];
      }
    for (std::size_t i = 0; i < descent_.memory.size(); ++i)
      state.tensors[fmt::format("memory.{}", i)] = descent_.memory[i];
    return state;
  }
  /// `former` filled the tensors in place.
  void go_on(const TunerState& former) {
    step_ = former.step;
    start_ = former.start;
    least_ = former.loss;
    for (std::int64_t step = 0; step < step_; ++step) batches_.next();
  }

  const Descent& descent_;
  std::vector<Learned>& layers_;
  const TunedLoss& loss_;
  Batches batches_;
  std::vector<std::int64_t> judges_;
  bool begun_ = false;
  std::int64_t step_ = 0;
  double start_ = 0, least_ = INFINITY, least_of_batch_ = INFINITY;
  LayerTensors best_, of_batch_;  // of_batch_: empty where leaves are judged on the way
};

}  // namespace

void descend(const Descent& descent, std::vector<Learned>& layers, const TunedLoss& loss) {
  Way(descent, layers, loss).go();
}

}  // namespace karat
