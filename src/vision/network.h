// A small residual network for images (He et al. 2016) whose convolutions may be quantized while it
// learns: a host for methods whose papers are about images.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "karat/graph.h"

namespace karat {

/// A 3×3 convolution of stride 2, three stages of one residual block each, of `width` channels and
/// twice as many from stage to stage, the mean over places, a linear layer. Group norms of 8
/// channels keep no running statistics, so training and use compute the same.
struct VisionShape {
  std::int64_t classes = 7;
  std::int64_t width = 16;  // a multiple of 8
};

struct Convolution {
  std::string name;
  std::int64_t in = 0, out = 0, kernel = 3, stride = 1;
};

/// Those of the residual blocks, which are quantized; the first one and the linear layer are not.
std::vector<Convolution> block_convolutions(const VisionShape& shape);
/// He's initial weights, by name.
Weights vision_weights(const VisionShape& shape, std::uint64_t seed);

/// x [n, in, side, side] -> [n, out, …] of a block's convolution; its inputs are never negative.
using ConvolutionProduct = std::function<torch::Tensor(
    const Convolution& conv, const Weights& weights, const torch::Tensor& x)>;
torch::Tensor plain_convolution(const Convolution& conv, const Weights& weights,
                                const torch::Tensor& x);
/// Weights and inputs on grids of `bits` bits, with learned steps (tuner/shared/estimator.h, lsq):
/// "<name>.weight_step" on 2^bits levels with a zero, and "<name>.input_step" on those from 0 up,
/// [1] each.
ConvolutionProduct quantized_convolution(std::int64_t bits);
/// LSQ's initial steps, 2·mean|v| / √top, for `images` F32.
Weights vision_steps(const VisionShape& shape, const Weights& weights, const torch::Tensor& images,
                     std::int64_t bits);

/// images F32 [n, 3, side, side] -> logits [n, classes].
torch::Tensor vision_logits(const VisionShape& shape, const Weights& weights,
                            const torch::Tensor& images, const ConvolutionProduct& product);

}  // namespace karat
