// How a format's codes become the floats of a tile.
#pragma once

#include "kernel/cpu/isa/x86_codes.h"

namespace karat::KARAT_ISA {
namespace {

template <int bits>
inline unsigned read_code(const std::byte* row, std::int64_t i) {
  const std::int64_t bit = i * bits;
  unsigned word = static_cast<unsigned>(row[bit / 8]);
  if (bit % 8 + bits > 8) word |= static_cast<unsigned>(row[bit / 8 + 1]) << 8;
  return word >> bit % 8 & ((1u << bits) - 1);
}

/// The decoder of s·(q − z) from that of q.
template <class Codes>
struct Scaled {
  static constexpr int kBits = Codes::kBits;
  Codes codes;
  float scale, zero;

  __m256 load(const std::byte* p) const {
    const __m256 s = _mm256_set1_ps(scale), z = _mm256_set1_ps(zero);
    return _mm256_mul_ps(s, _mm256_fmsub_ps(codes.load(p), Codes::lane_scale(), z));
  }
  float one(unsigned code) const { return scale * (codes.one(code) - zero); }
};

/// Weights of inputs [begin, end) of one group, w[0] being input `begin`.
template <class Weights>
inline void unpack_group(Weights decode, const std::byte* row, std::int64_t row_bytes,
                         std::int64_t begin, std::int64_t end, float* w) {
  constexpr int bits = Weights::kBits;
  std::int64_t i = begin;
  const auto one = [&] {
    w[i - begin] = decode.one(read_code<bits>(row, i));
    ++i;
  };
  while (i < end && i % kLanes != 0) one();
  for (; i + kLanes <= end; i += kLanes) {
    const std::int64_t at = i / kLanes * bits, available = row_bytes - at;
    _mm256_storeu_ps(w + (i - begin), available >= kLoadBytes<bits>
                                          ? decode.load(row + at)
                                          : load_near_end(decode, row + at, available));
  }
  while (i < end) one();
}

/// Inputs [begin, end) of W's rows to tile.w; weights(r, g) is the decoder of group g of the r-th.
template <class WeightsOf>
inline void unpack_tile(const MatrixView& m, std::int64_t row, std::int64_t rows,
                        std::int64_t begin, std::int64_t end, Tile& tile,
                        const WeightsOf& weights) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::byte* codes = m.codes + (row + r) * m.row_bytes;
    for (std::int64_t g = begin / m.group, i = begin; i < end; ++g) {
      const std::int64_t stop = least((g + 1) * m.group, end);
      unpack_group(weights(r, g), codes, m.row_bytes, i, stop, tile.w[r] + (i - begin));
      i = stop;
    }
  }
}

template <class Codes>
void unpack_scaled(Codes codes, const MatrixView& m, std::int64_t row, std::int64_t rows,
                   std::int64_t begin, std::int64_t end, Tile& tile) {
  const std::int64_t first = begin / m.group;
  load_stats(m, row, first, (end - 1) / m.group + 1, tile.stats);
  unpack_tile(m, row, rows, begin, end, tile, [&](std::int64_t r, std::int64_t g) {
    const std::int64_t at = (g - first) * kRows + r;
    return Scaled<Codes>{codes, tile.stats.scale[at], tile.stats.zero[at]};
  });
}

}  // namespace
}  // namespace karat::KARAT_ISA
