// Randomized Hadamard matrices, in whose basis no entry of a matrix stands out (QuIP#, arXiv
// 2402.04396). docs/format.md specifies them.
#pragma once

#include <cstdint>
#include <vector>

namespace karat {

/// R [n, n], orthonormal, its entries at most √(2/n). With n = 2^k·m and m odd, R = (C ⊗
/// H)·diag(±1): C the DCT-II of order m, H the Walsh-Hadamard matrix of order 2^k, the signs drawn
/// by the seed.
class Rotation {
 public:
  enum class Side : std::uint8_t { inputs, outputs };  // of a layer; each has its own signs
  Rotation(std::int64_t n, std::uint32_t seed, Side side);

  std::int64_t size() const { return power_ * odd_; }
  /// Whether both are the same matrix.
  bool operator==(const Rotation& other) const {
    return size() == other.size() && stream_ == other.stream_;
  }
  /// x [n, columns] becomes R x.
  void apply(float* x, std::int64_t columns = 1) const;
  /// x [n, columns] becomes Rᵀ x.
  void undo(float* x, std::int64_t columns = 1) const;

 private:
  void cosine_row(std::int64_t row, bool transposed, float* to) const;
  void transform(float* x, std::int64_t columns) const;
  void mix(float* x, std::int64_t columns, bool transposed) const;

  std::int64_t power_ = 1, odd_ = 1;  // n = power · odd
  std::uint64_t stream_;              // of random bits: seed and side
  std::vector<float> signs_;          // [n] ±2^(−k/2): H has no factor of its own
  std::vector<float> cosines_;        // [4·odd] √(2/m)·cos(π i / 2m)
};

/// x [length] becomes H x, up to a factor √length; length is a power of two.
void walsh_hadamard(float* x, std::int64_t length);

/// x [left.size(), right.size()] becomes L x Rᵀ; back: Lᵀ x R. Work is cut over threads.
void rotate(const Rotation& left, const Rotation& right, float* x);
void rotate_back(const Rotation& left, const Rotation& right, float* x);

}  // namespace karat
