// The parts of a block between the matrix products, on rows of activations.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "karat/architecture.h"
#include "run/weights.h"

namespace karat {

/// Zeros [rows, columns].
inline std::vector<float> floats(std::int64_t rows, std::int64_t columns) {
  return std::vector<float>(static_cast<std::size_t>(rows * columns));
}

/// y = x W ᵀ + bias, [tokens, in] -> [tokens, out]; of one layer, or of several with the same x.
void apply(const LinearWeights& linear, const float* x, std::int64_t tokens, float* y);
void apply(std::span<const LinearWeights* const> layers, const float* x, std::int64_t tokens,
           std::span<std::vector<float>> y);

/// y [rows, norm.size] = norm of each row of x; y may be x.
void apply(const NormWeights& norm, const float* x, std::int64_t rows, float* y);

/// x = act(x), n values, times `factors` [n] unless these are nullptr.
void activate(Activation activation, float* x, std::int64_t n, const float* factors = nullptr);

/// x += scale · y, n values.
void add_scaled(float scale, const float* y, float* x, std::int64_t n);

/// Cosines and sines of the rotary embeddings at some positions.
class RopeTable {
 public:
  RopeTable(std::span<const Rope> ropes, std::span<const std::int64_t> positions);
  /// Rotates a head at token `token` by one of the ropes: its pairs (a, b) become
  /// (a cos − b sin, b cos + a sin).
  void rotate(std::size_t rope, float* head, std::int64_t token) const;

 private:
  struct Angles {
    std::int64_t count;
    bool interleaved;
    std::vector<float> cosines, sines;  // [tokens, count]
  };
  std::vector<Angles> ropes_;
};

}  // namespace karat
