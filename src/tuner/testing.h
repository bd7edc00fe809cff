// Tuners on the plainest block there is, one layer.
#pragma once

#include "karat/axes.h"
#include "karat/options.h"

namespace karat {

inline Tuner tuner_of(Tuner (*factory)(Options&), const std::string& text) {
  Options options("tuner", text);
  Tuner tuner = factory(options);
  options.finish();
  return tuner;
}

/// Codes 0 … top; a line is stored as it is.
inline Grid even_grid(std::int64_t group, double top) {
  return {.group = group,
          .decode = [](const torch::Tensor& codes, const GridParams& params) -> torch::Tensor {
            return (codes.to(torch::kFloat32) - params[1]) * params[0];
          },
          .even = EvenLevels{.top = top,
                             .params =
                                 [](const auto& scale, const auto& zero) {
                                   return GridParams{scale.clone(), zero.clone()};
                                 }},
          .rescale =
              [](const GridParams& params, const torch::Tensor& scale) {
                return GridParams{scale.clone(), params.at(1)};
              }};
}

inline torch::Tensor decoded(const Solution& solution, std::int64_t group) {
  std::vector<torch::Tensor> parts;
  for (std::size_t g = 0; const auto& codes : solution.codes.split(group, 1)) {
    const GridParams& params = solution.params.at(g++);
    parts.push_back((codes.to(torch::kFloat32) - params[1]) * params[0]);
  }
  const torch::Tensor dense = torch::cat(parts, 1);
  return solution.kept.defined() ? torch::where(solution.kept, solution.weight, dense) : dense;
}

/// Nearest rounding of `weight` on the lines from each group's least to its greatest value, 0
/// between them.
inline TunedLayer rounded(const torch::Tensor& weight, std::int64_t group, double top) {
  TunedLayer layer{.name = "layer", .grid = even_grid(group, top), .start = {.weight = weight}};
  std::vector<torch::Tensor> codes;
  for (const torch::Tensor& part : weight.split(group, 1)) {
    const torch::Tensor low = part.amin(1, true).clamp_max(0),
                        high = part.amax(1, true).clamp_min(0);
    const torch::Tensor scale = (high - low) / top, zero = -low / scale;
    layer.start.params.push_back({scale, zero});
    codes.push_back((part / scale + zero).round().clamp(0, top).to(torch::kUInt8));
  }
  layer.start.codes = torch::cat(codes, 1);
  return layer;
}

/// One layer's outputs for x [sequences, tokens, in].
inline TunedLoss linear_loss(const torch::Tensor& x, const torch::Tensor& weight) {
  const torch::Tensor y = x.matmul(weight.t());
  const auto mean = [x, y](const torch::Tensor& w, const std::vector<std::int64_t>& which) {
    const torch::Tensor rows = torch::tensor(which);
    return (x.index_select(0, rows).matmul(w.t()) - y.index_select(0, rows)).square().mean();
  };
  return {.sequences = x.size(0),
          .value =
              [mean](const auto& w, const auto& which) {
                return mean(w(0).detach(), which).template item<double>();
              },
          .gradients =
              [mean](const auto& w, const auto& which, const auto& take) {
                const torch::AutoGradMode grad(true);
                const torch::Tensor leaf = w(0).detach().requires_grad_();
                const torch::Tensor loss = mean(leaf, which);
                take(0, torch::autograd::grad({loss}, {leaf})[0]);
                return loss.item<double>();
              }};
}

inline double loss_of(const TunedLoss& loss, const Solution& solution, std::int64_t group) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(loss.sequences));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
  return loss.value([&](std::size_t) { return decoded(solution, group); }, all);
}

inline torch::Tensor correlated(std::int64_t sequences, std::int64_t tokens, std::int64_t in) {
  return torch::matmul(torch::randn({sequences, tokens, in}), torch::randn({in, in}));
}

}  // namespace karat
