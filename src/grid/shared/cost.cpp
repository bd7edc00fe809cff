#include "grid/shared/cost.h"

namespace karat {

Cost choose_cost(Options& options, const std::string& fallback) {
  const std::string cost =
      options.choice("cost", fallback, {"equal", "activation", "fisher", "guided"},
                     "what a squared error costs in each weight");
  if (cost == "activation")
    return {.needs = {.input_square = true},
            .of = [](const Layer& layer) { return layer.stats.input_square.unsqueeze(0); }};
  if (cost == "fisher")
    return {.needs = {.fisher = true}, .of = [](const Layer& layer) { return layer.stats.fisher; }};
  if (cost == "guided")
    return {.needs = {.token_weights = true, .guided = true},
            .of = [](const Layer& layer) { return layer.stats.guided.diagonal().unsqueeze(0); }};
  return {};
}

torch::Tensor costs_of(const Slab& slab) {
  const torch::Tensor costs =
      slab.cost.defined() ? slab.cost.expand_as(slab.weight) : torch::ones_like(slab.weight);
  return slab.kept.defined() ? costs.masked_fill(slab.kept, 0) : costs;
}

}  // namespace karat
