// selector adaptive: one budget for the whole model, and every layer's ratio follows from how much
// its weights matter: r_l = ratio · Σn · s_l^power / Σ(n_j s_j^power), where s_l is the layer's
// mean score and n_l its size. Power 0 gives every layer the same ratio, 1 one in proportion to its
// score. No layer gets more than `limit`; what it leaves goes to the others. This is our reading of
// Algorithm 1 of ReQuant (Hu et al., arXiv 2503.01901), whose formula is not public; the paper's
// layers differ by up to 6 in mean score. Inside a layer the largest weights are kept, which is
// what lets the grid's range shrink, or those of the largest scores.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "karat/error.h"
#include "selector/shared/budget.h"

namespace karat {
namespace {

struct Ratios {
  double ratio = 0, power = 0, limit = 0;
};

/// `budget` in proportion to `weights`, but nobody gets more than his cap.
std::vector<double> fill(double budget, const std::vector<double>& weights,
                         const std::vector<double>& caps) {
  std::vector<double> shares(weights.size());
  std::vector<bool> full(weights.size());
  for (bool again = true; again;) {
    again = false;
    double rest = budget, open = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) full[i] ? rest -= caps[i] : open += weights[i];
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (full[i]) continue;
      shares[i] = std::min(caps[i], rest * weights[i] / open);
      again |= full[i] = shares[i] >= caps[i];
    }
  }
  return shares;
}

/// Whole numbers that sum to `budget`: those with the largest fractions are rounded up.
std::vector<std::int64_t> rounded(const std::vector<double>& shares, std::int64_t budget) {
  std::vector<std::int64_t> counts;
  for (const double share : shares) counts.push_back(static_cast<std::int64_t>(std::floor(share)));
  std::vector<std::size_t> order(shares.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
    return shares[a] - std::floor(shares[a]) > shares[b] - std::floor(shares[b]);
  });
  std::int64_t rest = budget - std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  for (auto next = order.begin(); rest > 0; ++next, --rest) ++counts[*next];
  return counts;
}

/// How many weights each layer keeps.
std::vector<std::int64_t> counts_of(const std::vector<Candidates>& layers, const Ratios& ratios) {
  constexpr double kLeast = 1e-12;  // of the largest score: layers that score nothing come last
  double largest = 0;
  for (const Candidates& layer : layers) largest = std::max(largest, layer.score);
  std::int64_t all = 0;
  std::vector<double> weights, caps;
  for (const Candidates& layer : layers) {
    const auto size = static_cast<double>(layer.worth.numel());
    const double score = largest > 0 ? std::max(layer.score / largest, kLeast) : 1;
    weights.push_back(size * std::pow(score, ratios.power));
    caps.push_back(std::ceil(ratios.limit * size * (1 - 1e-12)));
    all += layer.worth.numel();
  }
  const std::int64_t budget = share(ratios.ratio, all);
  return rounded(fill(static_cast<double>(budget), weights, caps), budget);
}

}  // namespace

Selector adaptive_selector(Options& options) {
  Ratios ratios;
  ratios.ratio = options.number("ratio", 0.0045, 0, 1, "share of all weights kept at FP16");
  ratios.power =
      options.number("power", 1, 0, 4, "how much a layer's mean score counts; 0: not at all");
  ratios.limit = options.number("limit", 0.05, 0, 1, "no layer keeps a larger share");
  const std::string by = options.choice("by", "magnitude", {"magnitude", "score"},
                                        "which weights of a layer are kept");
  if (ratios.ratio > ratios.limit)
    fail("selector adaptive", "ratio " + number_text(ratios.ratio),
         "at most limit " + number_text(ratios.limit), "raise limit too");
  Selector selector{.whole_model = true};
  if (by == "magnitude")
    selector.worth = [](const Layer& layer, const torch::Tensor&, const Grid&) {
      return layer.weight.abs();
    };
  selector.choose = [ratios](const std::vector<Candidates>& layers) {
    const std::vector<std::int64_t> counts = counts_of(layers, ratios);
    std::vector<torch::Tensor> result;
    for (std::size_t i = 0; i < layers.size(); ++i)
      result.push_back(best(layers[i].worth, counts[i]));
    return result;
  };
  return selector;
}

}  // namespace karat
