// Many tokens (prefill) with registers of 64 bytes: 32 rows × 1024 inputs of codes become bytes in
// the L1 or L2 cache, transposed: a register holds four inputs of 16 rows. A token's scale is then
// one number for all its lanes, and what is done to sums, once 16 inputs have met, is done to 16
// rows at once. Transposing costs as much as some four tokens' products, so few tokens are better
// off without.
#pragma once

#include "kernel/cpu/isa/int8_columns.h"
#include "kernel/cpu/isa/x86_transpose.h"

namespace karat::KARAT_ISA {
namespace {

struct TransposedStrip {
  static constexpr std::int64_t kRows = 32;
  static constexpr std::int64_t kBlocks = 8;  // of codes; kRows of them are 32 KiB
  static constexpr int kHalves = 2;           // of its rows
  static constexpr int kHalf = kRows / kHalves;
  static constexpr int kMeeting = 4;  // registers whose inputs share a scale
  static constexpr int kTokens = 8;   // multiplied together
  /// [block][scale of activations][register][half of the rows], four inputs of each row in a lane.
  alignas(64) __m512i codes[kBlocks][kLanes][kMeeting][kHalves];
  alignas(64) float scale[kBlocks][kRows], shift[kBlocks][kRows];
  bool whole_inputs = false;  // scales of activations are 1

  /// Blocks [begin, end) of `rows` rows from `row`; what lies past the rows becomes 0.
  template <class Codes>
  void fill(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
            std::int64_t end) {
    whole_inputs = m.input_grid != nullptr;
    for (int h = 0; h < kHalves; ++h) {
      fill_scales(m, row, rows, begin, end, h);
      for (std::int64_t b = begin; b < end; ++b)
        fill_block(rows, h, codes[b - begin],
                   [&](std::int64_t r, Bytes* q) { load_block<Codes>(m, row + r, b, q); });
    }
  }

  /// The same with the sums of a format of columns for codes.
  template <class Table>
  void fill_columns(const Table& table, const MatrixView& m, std::int64_t row, std::int64_t rows,
                    std::int64_t begin, std::int64_t end) {
    for (int h = 0; h < kHalves; ++h) {
      fill_scales(m, row, rows, begin, end, h);
      for (std::int64_t b = begin; b < end; ++b) {
        ColumnBlock<Table> block(table, m, row + h * kHalf, b);
        fill_block(rows, h, codes[b - begin], [&](std::int64_t, Bytes* q) { block.next(q); });
      }
    }
  }

  /// y[t, r] (+)= the strip's n blocks with all tokens; the first blocks of a row store. `bits`:
  /// sum_bits() of the codes.
  template <int bits>
  void multiply(const KernelInput& input, std::int64_t begin, std::int64_t n, std::int64_t rows,
                float* y, std::int64_t out) const {
    const auto some = whole_inputs ? &TransposedStrip::multiply_some<bits, kTokens, true>
                                   : &TransposedStrip::multiply_some<bits, kTokens, false>;
    for (std::int64_t t = 0; t < input.tokens; t += kTokens)
      (this->*some)(*input.int8, t, least(kTokens, input.tokens - t), begin, n, rows, y + t * out,
                    out);
  }

 private:
  void fill_scales(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
                   std::int64_t end, int h) {
    __m512i both[kHalf];  // of a row: its scales, then its shifts
    for (int r = 0; r < kHalf; ++r) {
      both[r] = _mm512_setzero_si512();
      if (h * kHalf + r >= rows) continue;
      RowScales own;
      load_scales(m, row + h * kHalf + r, begin, end, own);
      both[r] = _mm512_castps_si512(
          _mm512_insertf32x8(_mm512_castps256_ps512(load(own.scale)), load(own.shift), 1));
    }
    transpose(both);
    for (int b = 0; b < kBlocks; ++b) {
      _mm512_store_si512(scale[b] + h * kHalf, both[b]);
      _mm512_store_si512(shift[b] + h * kHalf, both[kBlocks + b]);
    }
  }

  /// A block of 16 of the rows, to to[scale][register][h]; load(r, codes) gives those of row r,
  /// one after the other.
  template <class Load>
  static void fill_block(std::int64_t rows, int h, __m512i (*to)[kMeeting][kHalves],
                         const Load& load) {
    Bytes q[kRegisters][kHalf];
    for (int r = 0; r < kHalf; ++r) {
      const std::int64_t at = h * kHalf + r;
      Bytes of_row[kRegisters] = {};
      if (at < rows) load(at, of_row);
      for (int k = 0; k < kRegisters; ++k) q[k][r] = of_row[k];
    }
    for (int k = 0; k < kRegisters; ++k) {
      transpose(q[k]);
      for (int lane = 0; lane < 16; ++lane) to[lane % 8][2 * k + lane / 8][h] = q[k][lane];
    }
  }

  template <int bits, int most, bool whole>
  void multiply_some(const Int8Input& x, std::int64_t t, std::int64_t count, std::int64_t begin,
                     std::int64_t n, std::int64_t rows, float* y, std::int64_t out) const {
    if (count < most) {
      if constexpr (most > 1)
        multiply_some<bits, most - 1, whole>(x, t, count, begin, n, rows, y, out);
      return;
    }
    __m512 sums[most][kHalves] = {};
    for (std::int64_t b = 0; b < n; ++b) add_block<bits, most, whole>(x, t, begin + b, b, sums);
    for (int i = 0; i < most; ++i)
      for (int h = 0; h < kHalves; ++h) {
        const std::int64_t left = rows < kHalf * h ? 0 : least(rows - kHalf * h, kHalf);
        float* to = y + i * out + kHalf * h;
        const auto lanes = static_cast<__mmask16>((1 << left) - 1);
        if (begin != 0) sums[i][h] = _mm512_add_ps(sums[i][h], _mm512_maskz_loadu_ps(lanes, to));
        _mm512_mask_storeu_ps(to, lanes, sums[i][h]);
      }
  }

  /// part[i][h] = Σ code·x̂ of block b, the strip's `own`-th, and token t + i.
  template <int bits, int tokens>
  void block_parts(const Int8Input& x, std::int64_t t, std::int64_t b, std::int64_t own,
                   __m512 (*part)[kHalves]) const {
    const std::int8_t* values = x.values + (t * x.blocks + b) * kBlock;
    const float* scales = x.scales + (t * x.blocks + b) * kLanes;
    KARAT_UNROLL
    for (int i = 0; i < tokens; ++i) KARAT_UNROLL
    for (int h = 0; h < kHalves; ++h) part[i][h] = _mm512_setzero_ps();
    for (int l = 0; l < kLanes; ++l, values += 4, ++scales) KARAT_UNROLL
    for (int i = 0; i < tokens; ++i) {
      __m512i met[kHalves] = {};
      meet<bits>(codes[own][l], values + i * x.blocks * kBlock, met);
      const __m512 scale_x = _mm512_set1_ps(scales[i * x.blocks * kLanes]);
      KARAT_UNROLL
      for (int h = 0; h < kHalves; ++h)
        part[i][h] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(met[h]), scale_x, part[i][h]);
    }
  }

  /// The same where scales are 1: sums stay integers.
  template <int bits, int tokens>
  void whole_parts(const Int8Input& x, std::int64_t t, std::int64_t b, std::int64_t own,
                   __m512 (*part)[kHalves]) const {
    const std::int8_t* values = x.values + (t * x.blocks + b) * kBlock;
    __m512i met[tokens][kHalves] = {};
    for (int l = 0; l < kLanes; ++l, values += 4) KARAT_UNROLL
    for (int i = 0; i < tokens; ++i)
      meet<bits>(codes[own][l], values + i * x.blocks * kBlock, met[i]);
    KARAT_UNROLL
    for (int i = 0; i < tokens; ++i) KARAT_UNROLL
    for (int h = 0; h < kHalves; ++h) part[i][h] = _mm512_cvtepi32_ps(met[i][h]);
  }

  /// Adds the products of block b, the strip's `own`-th, with `tokens` tokens from t.
  template <int bits, int tokens, bool whole>
  void add_block(const Int8Input& x, std::int64_t t, std::int64_t b, std::int64_t own,
                 __m512 (*sums)[kHalves]) const {
    __m512 part[tokens][kHalves];
    if constexpr (whole)
      whole_parts<bits, tokens>(x, t, b, own, part);
    else
      block_parts<bits, tokens>(x, t, b, own, part);
    KARAT_UNROLL
    for (int i = 0; i < tokens; ++i) {
      const __m512 sum_x = _mm512_set1_ps(x.sums[(t + i) * x.sums_stride + b]);
      KARAT_UNROLL
      for (int h = 0; h < kHalves; ++h) {
        const __m512 zeros = _mm512_mul_ps(_mm512_load_ps(shift[own] + kHalf * h), sum_x);
        const __m512 found =
            _mm512_fmsub_ps(part[i][h], _mm512_load_ps(scale[own] + kHalf * h), zeros);
        sums[i][h] = _mm512_add_ps(sums[i][h], found);
      }
    }
  }

  /// met[h] += Σ code·value of the 16 inputs that share a scale, of which `values` are the first
  /// four and the others lie 32 bytes apart.
  template <int bits>
  static void meet(const __m512i (*q)[kHalves], const std::int8_t* values, __m512i* met) {
    __m512i four[kMeeting];
    KARAT_UNROLL
    for (int j = 0; j < kMeeting; ++j) {
      int bytes;
      std::memcpy(&bytes, values + 32 * j, 4);
      four[j] = _mm512_set1_epi32(bytes);
    }
    KARAT_UNROLL
    for (int h = 0; h < kHalves; ++h) {
#if defined(__AVX512VNNI__)
      KARAT_UNROLL
      for (int j = 0; j < kMeeting; ++j) met[h] = _mm512_dpbusd_epi32(met[h], q[j][h], four[j]);
#else
      const auto pairs = [&](auto part, int j) {
        return _mm512_add_epi16(_mm512_maddubs_epi16(part(q[j][h]), four[j]),
                                _mm512_maddubs_epi16(part(q[j + 1][h]), four[j + 1]));
      };
      met[h] = _mm512_add_epi32(met[h], meeting<bits>(pairs));
#endif
    }
  }

  /// pairs(part, j) is the sum, in 16 bits, of what registers j and j + 1 give of the parts of
  /// their codes.
  template <int bits, class Pairs>
  static __m512i meeting(const Pairs& pairs) {
    const auto whole = [](Bytes q) { return q; };
    const auto add_up = [](__m512i x, short factor) {
      return _mm512_madd_epi16(x, _mm512_set1_epi16(factor));
    };
    if constexpr (bits == 8)
      return _mm512_add_epi32(
          add_up(_mm512_add_epi16(pairs(lower_half, 0), pairs(lower_half, 2)), 1),
          add_up(_mm512_add_epi16(pairs(upper_half, 0), pairs(upper_half, 2)), 16));
    if constexpr (bits == 6)
      return _mm512_add_epi32(add_up(pairs(whole, 0), 1), add_up(pairs(whole, 2), 1));
    return add_up(_mm512_add_epi16(pairs(whole, 0), pairs(whole, 2)), 1);
  }
};

}  // namespace
}  // namespace karat::KARAT_ISA
