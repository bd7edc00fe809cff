// The small operations of a decoder block, each with a backward that keeps only what it must.
#pragma once

#include "karat/architecture.h"
#include "karat/graph.h"

namespace karat {

/// Norm of x [batch, time, …], whose last dimensions are rows of norm.size values, with `norm`'s
/// weights from `weights`, computed in float32 or wider.
torch::Tensor normalize(const Norm& norm, const Weights& weights, const torch::Tensor& x);

/// x [tokens, in] -> [tokens, out], bias included.
torch::Tensor project(const Linear& linear, const Weights& weights, const torch::Tensor& x);
/// The same with `matrix` [out, in] in the place of the layer's own.
torch::Tensor project(const Linear& linear, const Weights& weights, const torch::Tensor& matrix,
                      const torch::Tensor& x);

/// x [tokens, in] -> [tokens, out].
torch::Tensor score(const Router& router, const Weights& weights, const torch::Tensor& x);

/// cos and sin, times the rope's factor, of positions 0 … time − 1: two tensors [time, 1,
/// frequencies].
struct RopeAngles {
  torch::Tensor cosine, sine;
  bool interleaved = false;
};
RopeAngles rope_angles(const Rope& rope, std::int64_t time, const torch::TensorOptions& options);
/// Rotates the first 2 · frequencies values of x [batch, time, heads, head_dim] (Su et al. 2021).
torch::Tensor rotate(const torch::Tensor& x, const RopeAngles& angles);

/// act(x) of x [tokens, ffn].
torch::Tensor activate(Activation activation, const torch::Tensor& x);
/// act(gate) · up, keeping gate and up alone for the backward.
torch::Tensor activate_gated(Activation activation, const torch::Tensor& gate,
                             const torch::Tensor& up);

}  // namespace karat
