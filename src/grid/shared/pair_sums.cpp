#include "grid/shared/pair_sums.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <vector>

#include "core/platform.h"
#include "core/threads.h"

namespace karat {
namespace {

constexpr std::int64_t kDepth = 256;  // inputs a block; of one its index is a byte
constexpr std::int64_t kTile = 32;    // columns at a time: a block of them stays in the L1 cache
constexpr std::int64_t kGrain = 16;   // rows that read it there
constexpr std::int64_t kSizes = 16;   // values of a table, at most

using Index = std::uint8_t;
using Sums = std::array<float, kSizes * kTile>;  // [size, kTile] of a row

/// Inputs [rows, n] sorted by block of kDepth, and there by code.
class Inputs {
 public:
  Inputs(const torch::Tensor& codes, std::int64_t size);
  /// Of a block, in it: [starts[code], starts[code + 1]) of `order` have that code.
  struct Block {
    const Index* order;
    const std::uint16_t* starts;
  };
  Block at(std::int64_t row, std::int64_t block) const {
    return {order_.data() + row * n_ + block * kDepth,
            starts_.data() + (row * blocks_ + block) * (size_ + 2)};
  }

 private:
  std::int64_t n_, size_, blocks_;
  std::vector<Index> order_;           // [rows, n]
  std::vector<std::uint16_t> starts_;  // [rows, blocks, size + 2]
};

Inputs::Inputs(const torch::Tensor& codes, std::int64_t size)
    : n_(codes.size(1)),
      size_(size),
      blocks_((n_ + kDepth - 1) / kDepth),
      order_(static_cast<std::size_t>(codes.numel())),
      starts_(static_cast<std::size_t>(codes.size(0) * blocks_ * (size + 2))) {
  parallel_for(codes.size(0), kGrain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first * blocks_; i < last * blocks_; ++i) {
      const std::int64_t row = i / blocks_, begin = i % blocks_ * kDepth;
      const std::int64_t count = std::min(kDepth, n_ - begin);
      const std::uint8_t* of = codes.data_ptr<std::uint8_t>() + row * n_ + begin;
      Index* order = order_.data() + row * n_ + begin;
      std::uint16_t* starts = starts_.data() + i * (size_ + 2);
      for (std::int64_t k = 0; k < count; ++k) ++starts[of[k] + 1];
      for (std::int64_t code = 0; code <= size_; ++code) starts[code + 1] += starts[code];
      std::array<std::uint16_t, kSizes + 1> next;
      std::copy_n(starts, size_ + 1, next.begin());
      for (std::int64_t k = 0; k < count; ++k) order[next[of[k]]++] = static_cast<Index>(k);
    }
  });
}

/// sums[code] += rows of a tile [kDepth, kTile], by the codes of a block; `lanes` a register. Two
/// inputs at a time, for an addition waits for the one before it.
template <int lanes>
[[gnu::always_inline]] inline void add_block(const float* tile, Inputs::Block inputs,
                                             std::int64_t size, float* sums) {
  using Lanes [[gnu::vector_size(4 * lanes)]] = float;
  constexpr std::int64_t kRegisters = kTile / lanes;
  for (std::int64_t code = 0; code < size; ++code) {
    const Index* i = inputs.order + inputs.starts[code];
    const Index* const end = inputs.order + inputs.starts[code + 1];
    Lanes even[kRegisters], odd[kRegisters] = {}, x;
    std::memcpy(even, sums + code * kTile, sizeof even);
    for (; i + 1 < end; i += 2)
      for (std::int64_t k = 0; k < kRegisters; ++k) {
        std::memcpy(&x, tile + i[0] * kTile + k * lanes, sizeof x);
        even[k] += x;
        std::memcpy(&x, tile + i[1] * kTile + k * lanes, sizeof x);
        odd[k] += x;
      }
    if (i < end)
      for (std::int64_t k = 0; k < kRegisters; ++k) {
        std::memcpy(&x, tile + i[0] * kTile + k * lanes, sizeof x);
        even[k] += x;
      }
    for (std::int64_t k = 0; k < kRegisters; ++k) even[k] += odd[k];
    std::memcpy(sums + code * kTile, even, sizeof even);
  }
}

KARAT_FOR_AVX512 void add_block_16(const float* tile, Inputs::Block inputs, std::int64_t size,
                                   float* sums) {
  add_block<16>(tile, inputs, size, sums);
}
KARAT_FOR_AVX2 void add_block_8(const float* tile, Inputs::Block inputs, std::int64_t size,
                                float* sums) {
  add_block<8>(tile, inputs, size, sums);
}
void add_block_4(const float* tile, Inputs::Block inputs, std::int64_t size, float* sums) {
  add_block<4>(tile, inputs, size, sums);
}

/// pairs[codes[j]] += sums[.., j]: `pairs` [size + 1, size], transposed so that the additions of an
/// input do not wait for each other.
void add_columns(const Sums& sums, std::span<const std::uint8_t> codes, std::int64_t size,
                 double* pairs) {
  std::array<float, kTile * kSizes> transposed;
  for (std::int64_t code = 0; code < size; ++code)
    for (std::int64_t j = 0; j < kTile; ++j) transposed[j * kSizes + code] = sums[code * kTile + j];
  for (std::size_t j = 0; j < codes.size(); ++j) {
    double* to = pairs + codes[j] * size;
    for (std::int64_t code = 0; code < size; ++code) to[code] += transposed[j * kSizes + code];
  }
}

}  // namespace

/// Of the blocks beside the diagonal each second one is the other's mirror image, and left out.
torch::Tensor pair_sums(const torch::Tensor& gram, const torch::Tensor& codes, std::int64_t size) {
  const std::int64_t rows = codes.size(0), n = codes.size(1);
  const Inputs inputs(codes, size);
  const auto add_block = twin_for_cpu(add_block_16, add_block_8, add_block_4);
  torch::Tensor pairs = torch::zeros({rows, size + 1, size}, torch::kFloat64);
  torch::Tensor tile = torch::zeros({n, kTile});
  for (std::int64_t begin = 0; begin < n; begin += kTile) {
    const std::int64_t count = std::min(kTile, n - begin), diagonal = begin / kDepth;
    tile.slice(1, 0, count).copy_(gram.slice(1, begin, begin + count));
    parallel_for(rows, kGrain, [&](std::int64_t first, std::int64_t last) {
      std::array<Sums, kGrain> sums = {};
      for (std::int64_t block = 0; block <= diagonal; ++block) {
        if (block == diagonal)
          for (Sums& of : sums)
            for (float& sum : of) sum *= 2;
        for (std::int64_t row = first; row < last; ++row)
          add_block(tile.data_ptr<float>() + block * kDepth * kTile, inputs.at(row, block), size,
                    sums[row - first].data());
      }
      for (std::int64_t row = first; row < last; ++row)
        add_columns(
            sums[row - first],
            {codes.data_ptr<std::uint8_t>() + row * n + begin, static_cast<std::size_t>(count)},
            size, pairs.data_ptr<double>() + row * (size + 1) * size);
    });
  }
  const torch::Tensor half = pairs.slice(1, 0, size) / 2;
  return half + half.transpose(1, 2);
}

}  // namespace karat
