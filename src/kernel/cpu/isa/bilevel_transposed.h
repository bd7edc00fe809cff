// Many tokens and bilevel statistics with registers of 64 bytes: as in int8_transposed.h, with a
// scale and a zero for 16 rows wherever 16 inputs, which share a scale of activations, have met.
#pragma once

#include "kernel/cpu/isa/int8_units.h"
#include "kernel/cpu/isa/x86_transpose.h"

namespace karat::KARAT_ISA {
namespace {

/// Where in a block of values the four inputs lie that fours `j` of sixteen `u` meet.
template <int bits>
constexpr int place_of_four(int u, int j) {
  if (bits == 2) return 32 * j + 4 * u;
  return 32 * (u / 4 * 2 + j / 2) + 4 * (u % 4 * 2 + j % 2);
}

/// Scales of 16 rows of a strip and one group, or zeros: s2·(code − z2).
inline __m512 rows_of_group(const std::byte* codes, const std::byte* stats, std::int64_t at) {
  std::uint32_t low = 0, high = 0;
  std::memcpy(&low, codes + 6 * at, 3);
  std::memcpy(&high, codes + 6 * at + 3, 3);
  const __m512i both = _mm512_mask_set1_epi32(_mm512_set1_epi32(static_cast<int>(low)), 0xff00,
                                              static_cast<int>(high));
  const __m512i shifts = _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21, 0, 3, 6, 9, 12, 15, 18, 21);
  const __m512i own = _mm512_and_si512(_mm512_srlv_epi32(both, shifts), _mm512_set1_epi32(7));
  const float scale = load_half(stats, 2 * at), zero = load_half(stats, 2 * at + 1);
  return _mm512_mul_ps(_mm512_set1_ps(scale),
                       _mm512_sub_ps(_mm512_cvtepi32_ps(own), _mm512_set1_ps(zero)));
}

/// 32 rows × 1024 inputs of codes of at most 5 bits.
template <int bits>
struct BilevelStrip {
  static constexpr std::int64_t kBlocks = 8, kSixteens = kBlocks * kLanes;
  static constexpr int kHalves = 2, kHalf = 16, kFours = 4, kTokens = 4;
  static constexpr std::int64_t kRows = kHalves * kHalf;
  /// [sixteen][four][half of the rows], four inputs of each row in a lane.
  alignas(64) __m512i codes[kSixteens][kFours][kHalves];
  alignas(64) __m512 scale[kSixteens][kHalves], shift[kSixteens][kHalves];  // shift: of groups

  /// Blocks [begin, end) of `rows` rows from `row`; what lies past the rows becomes 0.
  void fill(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
            std::int64_t end) {
    for (int h = 0; h < kHalves; ++h) {
      fill_scales(m, row + h * kHalf, h, begin, end);
      for (std::int64_t b = begin; b < end; ++b)
        fill_block(m, row + h * kHalf, rows - h * kHalf, b, h, codes + (b - begin) * kLanes);
    }
  }

  /// y[t, r] (+)= the strip's blocks [begin, end) with all tokens; the first of a row store.
  void multiply(const MatrixView& m, const KernelInput& input, std::int64_t begin, std::int64_t end,
                std::int64_t rows, float* y) const {
    for (std::int64_t t = 0; t < input.tokens; t += kTokens)
      some_tokens<kTokens>(m, *input.int8, t, least(kTokens, input.tokens - t), begin, end, rows,
                           y + t * m.out);
  }

 private:
  void fill_scales(const MatrixView& m, std::int64_t row, int h, std::int64_t begin,
                   std::int64_t end) {
    const std::int64_t of_group = m.group / kHalf, strip = row / kHalf * m.groups;
    for (std::int64_t u = begin * kLanes; u < end * kLanes; u += of_group) {
      const std::int64_t g = u / of_group;
      __m512 s = _mm512_setzero_ps(), product = s;
      if (row < m.out && g < m.groups) {
        s = rows_of_group(m.scale_codes, m.scale_stats, strip + g);
        const __m512 zeros = m.symmetric ? _mm512_set1_ps(m.fixed_zero)
                                         : rows_of_group(m.zero_codes, m.zero_stats, strip + g);
        product = _mm512_mul_ps(s, zeros);
      }
      for (std::int64_t k = 0; k < of_group; ++k) {
        scale[u - begin * kLanes + k][h] = s;
        shift[u - begin * kLanes + k][h] = k == 0 ? product : _mm512_setzero_ps();
      }
    }
  }

  static void fill_block(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t b,
                         int h, __m512i (*to)[kFours][kHalves]) {
    using Codes = BlockCodes<bits>;
    __m512i lanes[2][kHalf] = {};  // of two quarters each
    for (std::int64_t r = 0; r < least(rows, kHalf); ++r) {
      const std::byte* from = m.codes + (row + r) * m.row_bytes + b * Codes::kBytes;
      __m256i q[4];
      if ((b + 1) * kBlock <= m.in)
        Codes::load(from, q);
      else
        load_last<Codes>(from, m.row_bytes - b * Codes::kBytes, q);
      KARAT_UNROLL
      for (int k = 0; k < 2; ++k)
        lanes[k][r] = _mm512_inserti64x4(_mm512_castsi256_si512(q[2 * k]), q[2 * k + 1], 1);
    }
    for (__m512i* own : lanes) transpose(own);
    for (int u = 0; u < kLanes; ++u)
      for (int j = 0; j < kFours; ++j) {
        const int place = place_of_four<bits>(u, j);
        to[u][j][h] = lanes[place / 64][place % 64 / 4];
      }
  }

  /// Of `count` <= `most` tokens.
  template <int most>
  void some_tokens(const MatrixView& m, const Int8Input& x, std::int64_t t, std::int64_t count,
                   std::int64_t begin, std::int64_t end, std::int64_t rows, float* y) const {
    if (count < most) {
      if constexpr (most > 1) some_tokens<most - 1>(m, x, t, count, begin, end, rows, y);
      return;
    }
    __m512 sums[most][kHalves] = {};
    const std::int64_t per_block = kBlock / int8_unit(m);
    for (std::int64_t b = begin; b < end; ++b) {
      const float* unit_sums = x.sums + t * x.sums_stride + b * per_block;
      add_block<most>(x, t, b, (b - begin) * kLanes, sums);
      for (std::int64_t u = 0; u < per_block; ++u)
        subtract<most>(unit_sums + u, x.sums_stride,
                       shift[(b - begin) * kLanes + u * kLanes / per_block], sums);
    }
    for (int i = 0; i < most; ++i)
      for (int h = 0; h < kHalves; ++h) {
        const std::int64_t left = rows < kHalf * h ? 0 : least(rows - kHalf * h, kHalf);
        float* to = y + i * m.out + kHalf * h;
        const auto lanes = static_cast<__mmask16>((1 << left) - 1);
        if (begin != 0) sums[i][h] = _mm512_add_ps(sums[i][h], _mm512_maskz_loadu_ps(lanes, to));
        _mm512_mask_storeu_ps(to, lanes, sums[i][h]);
      }
  }

  template <int tokens>
  static void subtract(const float* unit_sums, std::int64_t stride, const __m512* of_group,
                       __m512 (*sums)[kHalves]) {
    KARAT_UNROLL
    for (int i = 0; i < tokens; ++i) KARAT_UNROLL
    for (int h = 0; h < kHalves; ++h)
      sums[i][h] = _mm512_fnmadd_ps(of_group[h], _mm512_set1_ps(unit_sums[i * stride]), sums[i][h]);
  }

  /// Adds Σ scale·code·x̂ of a block, whose first sixteen is the strip's `own`-th.
  template <int tokens>
  void add_block(const Int8Input& x, std::int64_t t, std::int64_t b, std::int64_t own,
                 __m512 (*sums)[kHalves]) const {
    const std::int8_t* values = x.values + (t * x.blocks + b) * kBlock;
    const float* scales = x.scales + (t * x.blocks + b) * kLanes;
    for (int u = 0; u < kLanes; ++u) KARAT_UNROLL
    for (int i = 0; i < tokens; ++i) {
      __m512i met[kHalves];
      meet(codes[own + u], values + i * x.blocks * kBlock, u, met);
      const __m512 scale_x = _mm512_set1_ps(scales[i * x.blocks * kLanes + u]);
      KARAT_UNROLL
      for (int h = 0; h < kHalves; ++h)
        sums[i][h] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(met[h]), scale[own + u][h]),
                                     scale_x, sums[i][h]);
    }
  }

  /// Σ code·value of 16 inputs: in 16 bits eight products stay below 2^15, 8·31·127.
  static void meet(const __m512i (*q)[kHalves], const std::int8_t* values, int u, __m512i* met) {
    __m512i four[kFours];
    KARAT_UNROLL
    for (int j = 0; j < kFours; ++j) {
      int bytes;
      std::memcpy(&bytes, values + place_of_four<bits>(u, j), 4);
      four[j] = _mm512_set1_epi32(bytes);
    }
    KARAT_UNROLL
    for (int h = 0; h < kHalves; ++h) {
#if defined(__AVX512VNNI__)
      met[h] = _mm512_setzero_si512();
      KARAT_UNROLL
      for (int j = 0; j < kFours; ++j) met[h] = _mm512_dpbusd_epi32(met[h], q[j][h], four[j]);
#else
      const auto pairs = [&](int j) {
        return _mm512_add_epi16(_mm512_maddubs_epi16(q[j][h], four[j]),
                                _mm512_maddubs_epi16(q[j + 1][h], four[j + 1]));
      };
      met[h] = _mm512_madd_epi16(_mm512_add_epi16(pairs(0), pairs(2)), _mm512_set1_epi16(1));
#endif
    }
  }
};

template <int bits>
void bilevel_strips(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
                    std::int64_t row_end) {
  using Strip = BilevelStrip<bits>;
  Strip strip;
  for (std::int64_t row = row_begin; row < row_end; row += Strip::kRows) {
    const std::int64_t rows = least(Strip::kRows, row_end - row);
    for (std::int64_t b = 0; b < input.int8->blocks; b += Strip::kBlocks) {
      const std::int64_t end = least(b + Strip::kBlocks, input.int8->blocks);
      strip.fill(m, row, rows, b, end);
      strip.multiply(m, input, b, end, rows, y + row);
    }
    for (std::int64_t r = 0; r < rows && m.outlier_offsets != nullptr; r += kOutlierRows)
      add_strip_outliers(m, input, row + r, least(kOutlierRows, rows - r), y);
  }
}

/// multiply_many_units() of a matrix with scales_in_rows() and codes of at most 5 bits.
inline void multiply_bilevel_many(const MatrixView& m, const KernelInput& input, float* y,
                                  std::int64_t row_begin, std::int64_t row_end) {
  with_block_codes(m, [&](auto codes) {
    constexpr int bits = decltype(codes)::kBits;
    if constexpr (bits <= 5) bilevel_strips<bits>(m, input, y, row_begin, row_end);
  });
}

}  // namespace
}  // namespace karat::KARAT_ISA
