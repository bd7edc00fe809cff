#include "pipeline/widths.h"

#include <cmath>
#include <queue>

namespace karat {
namespace {

/// A layer's step to its next width, the most expensive first.
struct Step {
  double gain = 0;  // of cost, per bit of a code and weight
  std::string layer;
  bool operator<(const Step& other) const {
    return gain != other.gain ? gain < other.gain : layer > other.layer;
  }
};

double distortion(int bits) {
  return std::pow(4.0, -bits);
}

}  // namespace

void WidthChooser::see(const Layer& layer) {
  const torch::Tensor fisher = layer.stats.fisher.sum(1, /*keepdim=*/false, torch::kFloat64),
                      square = layer.weight.square().mean(1, /*keepdim=*/false, torch::kFloat64);
  const Seen seen{.weights = static_cast<double>(layer.weight.numel()),
                  .cost = (fisher * square).sum().item<double>()};
  const std::scoped_lock lock(mutex_);
  layers_[layer.name] = seen;
}

LayerWidths WidthChooser::choose(const Widths& widths) const {
  if (widths.grids.empty()) return {};
  LayerWidths chosen;
  double left = 0;  // bits to give away
  std::priority_queue<Step> steps;
  const auto push = [&](const std::string& name, int from) {
    const auto next = widths.grids.upper_bound(from);
    if (next == widths.grids.end()) return;
    const Seen& layer = layers_.at(name);
    const double saved = layer.cost * (distortion(from) - distortion(next->first));
    steps.push({saved / (layer.weights * (next->first - from)), name});
  };
  const int least = widths.grids.begin()->first;
  for (const auto& [name, layer] : layers_) {
    chosen[name] = {least, layer.cost / layer.weights};
    left += layer.weights * (widths.mean - least);
    push(name, least);
  }
  // The gain of a layer's steps falls, so the best step next is the best of all. One that is too
  // large for what is left makes way for smaller ones.
  while (!steps.empty()) {
    const std::string name = steps.top().layer;
    steps.pop();
    int& mine = chosen.at(name).bits;
    const int wider = widths.grids.upper_bound(mine)->first;
    const double price = layers_.at(name).weights * (wider - mine);
    if (price > left * (1 + 1e-9)) continue;
    left -= price;
    mine = wider;
    push(name, wider);
  }
  return chosen;
}

}  // namespace karat
