#include "vision/network.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "core/rng.h"
#include "tuner/shared/estimator.h"

namespace karat {
namespace {

constexpr std::int64_t kStages = 3, kGroup = 8;

struct Stage {
  Convolution first, second, shortcut;
};

/// Stage 0 keeps its input's shape, so its shortcut is none.
Stage stage_of(const VisionShape& shape, std::int64_t index) {
  const std::string name = fmt::format("stages.{}.", index);
  const std::int64_t out = shape.width << index, in = index == 0 ? out : out / 2;
  const std::int64_t stride = index == 0 ? 1 : 2;
  return {.first = {name + "conv1", in, out, 3, stride},
          .second = {name + "conv2", out, out, 3, 1},
          .shortcut = {name + "shortcut", in, out, 1, stride}};
}

Convolution stem_of(const VisionShape& shape) {
  return {"stem", 3, shape.width, 3, 2};
}

torch::Tensor normal(const std::vector<std::int64_t>& sizes, double deviation, Rng rng) {
  auto tensor = torch::empty(sizes);
  auto* values = tensor.data_ptr<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    values[i] = static_cast<float>(deviation * std::sqrt(-2 * std::log(1 - rng.uniform())) *
                                   std::cos(2 * std::numbers::pi * rng.uniform()));
  return tensor;
}

torch::Tensor norm_after(const Convolution& conv, const Weights& weights, const torch::Tensor& x) {
  return torch::group_norm(x, conv.out / kGroup, weights.at(conv.name + ".norm.weight"),
                           weights.at(conv.name + ".norm.bias"));
}

LevelRange input_levels(std::int64_t bits) {
  return {.low = 0, .high = static_cast<double>((std::int64_t{1} << bits) - 1)};
}

torch::Tensor first_step(const torch::Tensor& v, const LevelRange& levels) {
  return (2 * v.abs().mean() / std::sqrt(levels.top())).reshape({1});
}

}  // namespace

std::vector<Convolution> block_convolutions(const VisionShape& shape) {
  std::vector<Convolution> all;
  for (std::int64_t i = 0; i < kStages; ++i) {
    const Stage stage = stage_of(shape, i);
    all.insert(all.end(), {stage.first, stage.second});
    if (i > 0) all.push_back(stage.shortcut);
  }
  return all;
}

Weights vision_weights(const VisionShape& shape, std::uint64_t seed) {
  Rng streams(seed);
  Weights weights;
  std::vector<Convolution> all = block_convolutions(shape);
  all.push_back(stem_of(shape));
  for (const Convolution& conv : all) {
    const auto inputs = conv.in * conv.kernel * conv.kernel;
    weights[conv.name + ".weight"] =
        normal({conv.out, conv.in, conv.kernel, conv.kernel},
               std::sqrt(2.0 / static_cast<double>(inputs)), Rng(streams.next()));
    weights[conv.name + ".norm.weight"] = torch::ones({conv.out});
    weights[conv.name + ".norm.bias"] = torch::zeros({conv.out});
  }
  const std::int64_t features = shape.width << (kStages - 1);
  weights["head.weight"] =
      normal({shape.classes, features}, std::sqrt(1.0 / static_cast<double>(features)),
             Rng(streams.next()));
  weights["head.bias"] = torch::zeros({shape.classes});
  return weights;
}

torch::Tensor plain_convolution(const Convolution& conv, const Weights& weights,
                                const torch::Tensor& x) {
  return torch::conv2d(x, weights.at(conv.name + ".weight"), {}, conv.stride, conv.kernel / 2);
}

ConvolutionProduct quantized_convolution(std::int64_t bits) {
  return [bits](const Convolution& conv, const Weights& weights, const torch::Tensor& x) {
    const auto weight = lsq(weights.at(conv.name + ".weight"),
                            weights.at(conv.name + ".weight_step"), signed_levels(bits, true));
    const auto input = lsq(x, weights.at(conv.name + ".input_step"), input_levels(bits));
    return torch::conv2d(input, weight, {}, conv.stride, conv.kernel / 2);
  };
}

Weights vision_steps(const VisionShape& shape, const Weights& weights, const torch::Tensor& images,
                     std::int64_t bits) {
  const torch::NoGradGuard no_grad;
  Weights steps;
  vision_logits(shape, weights, images,
                [&](const Convolution& conv, const Weights& all, const torch::Tensor& x) {
                  steps[conv.name + ".weight_step"] =
                      first_step(all.at(conv.name + ".weight"), signed_levels(bits, true));
                  steps[conv.name + ".input_step"] = first_step(x, input_levels(bits));
                  return plain_convolution(conv, all, x);
                });
  return steps;
}

torch::Tensor vision_logits(const VisionShape& shape, const Weights& weights,
                            const torch::Tensor& images, const ConvolutionProduct& product) {
  const Convolution stem = stem_of(shape);
  auto x = norm_after(stem, weights, plain_convolution(stem, weights, images)).relu();
  for (std::int64_t i = 0; i < kStages; ++i) {
    const Stage stage = stage_of(shape, i);
    const auto inner = norm_after(stage.first, weights, product(stage.first, weights, x)).relu();
    const auto y = norm_after(stage.second, weights, product(stage.second, weights, inner));
    const auto past =
        i == 0 ? x : norm_after(stage.shortcut, weights, product(stage.shortcut, weights, x));
    x = (y + past).relu();
  }
  return torch::linear(x.mean({2, 3}), weights.at("head.weight"), weights.at("head.bias"));
}

}  // namespace karat
