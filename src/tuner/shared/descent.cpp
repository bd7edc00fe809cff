#include "tuner/shared/descent.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "core/rng.h"
#include "core/threads.h"
#include "karat/error.h"

namespace karat {
namespace {

using Tensors = std::vector<torch::Tensor>;
using Snapshot = std::vector<Tensors>;  // of the leaves, layer by layer

Snapshot snapshot(const std::vector<Learned>& layers) {
  Snapshot copy(layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i)
    for (const torch::Tensor& leaf : layers[i].leaves) copy[i].push_back(leaf.detach().clone());
  return copy;
}

void restore(const Snapshot& from, std::vector<Learned>& layers) {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < layers.size(); ++i)
    for (std::size_t k = 0; k < from[i].size(); ++k) layers[i].leaves[k].copy_(from[i][k]);
}

void for_each_layer(const std::vector<Learned>& layers,
                    const std::function<void(std::size_t)>& body) {
  parallel_for(static_cast<std::int64_t>(layers.size()), 1, [&](auto begin, auto end) {
    for (auto i = begin; i < end; ++i) body(static_cast<std::size_t>(i));
  });
}

Tensors all_weights(const std::vector<Learned>& layers, bool graph) {
  Tensors weights(layers.size());
  for_each_layer(layers, [&](std::size_t i) {
    const torch::AutoGradMode grad(graph);
    weights[i] = layers[i].weights();
  });
  return weights;
}

/// The sequences of each step.
class Batches {
 public:
  Batches(std::int64_t sequences, std::int64_t batch, std::uint64_t seed)
      : order_(static_cast<std::size_t>(sequences)),
        batch_(static_cast<std::size_t>(std::min(batch, sequences))),
        next_(order_.size()),
        rng_(seed) {
    std::iota(order_.begin(), order_.end(), 0);
  }
  std::vector<std::int64_t> next() {
    if (next_ + batch_ > order_.size()) {
      for (std::size_t i = order_.size(); i > 1; --i)
        std::swap(order_[i - 1], order_[static_cast<std::size_t>(rng_.below(i))]);
      next_ = 0;
    }
    const auto from = order_.begin() + static_cast<std::ptrdiff_t>(next_);
    next_ += batch_;
    return {from, from + static_cast<std::ptrdiff_t>(batch_)};
  }

 private:
  std::vector<std::int64_t> order_;
  std::size_t batch_, next_;
  Rng rng_;
};

class Way {
 public:
  Way(const Descent& descent, std::vector<Learned>& layers, const BlockLoss& loss)
      : descent_(descent), layers_(layers), loss_(loss), all_(std::size_t(loss.sequences)) {
    std::iota(all_.begin(), all_.end(), 0);
  }

  void go() {
    Snapshot best = snapshot(layers_), of_batch = best;
    double least = whole(), least_of_batch = INFINITY;
    Batches batches(loss_.sequences, descent_.batch, loss_.seed);
    for (std::int64_t step = 0; step < descent_.steps; ++step) {
      Tensors weights = all_weights(layers_, true), slopes;
      const double loss = finite(loss_.gradients(weights, batches.next(), slopes), step);
      if (loss < least_of_batch) {
        least_of_batch = loss;
        of_batch = snapshot(layers_);
      }
      descent_.update(step, layers_, leaf_gradients(weights, slopes));
      if (loss_.step) loss_.step(loss);
    }
    keep_better(snapshot(layers_), best, least);
    keep_better(of_batch, best, least);
    restore(best, layers_);
  }

 private:
  double finite(double loss, std::int64_t step) const {
    if (!std::isfinite(loss))
      fail(descent_.owner, fmt::format("a loss that is not finite, in step {}", step + 1),
           "one that falls", "a smaller rate");
    return loss;
  }
  /// Over the whole text, of the leaves as they are.
  double whole() const { return loss_.value(all_weights(layers_, false), all_); }

  void keep_better(const Snapshot& candidate, Snapshot& best, double& least) {
    restore(candidate, layers_);
    const double loss = whole();
    if (!(loss < least)) return;
    least = loss;
    best = candidate;
  }

  std::vector<Tensors> leaf_gradients(const Tensors& weights, const Tensors& slopes) const {
    std::vector<Tensors> gradients(layers_.size());
    for_each_layer(layers_, [&](std::size_t i) {
      gradients[i] = torch::autograd::grad({weights[i]}, layers_[i].leaves, {slopes[i]});
    });
    return gradients;
  }

  const Descent& descent_;
  std::vector<Learned>& layers_;
  const BlockLoss& loss_;
  std::vector<std::int64_t> all_;
};

}  // namespace

void descend(const Descent& descent, std::vector<Learned>& layers, const BlockLoss& loss) {
  Way(descent, layers, loss).go();
}

}  // namespace karat
