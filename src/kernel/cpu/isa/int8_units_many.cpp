// Several tokens and units smaller than blocks, as in int8_many.cpp; and how activations are
// rounded for them.
#define KARAT_NARROW
#include "kernel/cpu/isa/int8_outliers.h"
#include "kernel/cpu/isa/int8_round.h"
#include "kernel/cpu/isa/int8_units.h"
#if defined(__AVX512BW__)
#include "kernel/cpu/isa/bilevel_transposed.h"
#endif

namespace karat::KARAT_ISA {
namespace {

/// kStrip rows × kBlocks blocks as bytes, half an L1 cache.
template <class Kind>
struct UnitStrip {
  using Values = typename Kind::Row;
  using Codes = typename Values::Codes;
  static constexpr std::int64_t kBlocks = 8 * kRegisters / Values::kBytes;
  static constexpr std::int64_t kUnits = kBlocks * kBlock / kLanes;  // of the smallest
  alignas(64) Bytes codes[kStrip][kBlocks][Values::kBytes];
  UnitScales<kUnits> scales[kStrip];
  Spread spread, rows;  // of the units' scales, and of those of 16 inputs in a row

  explicit UnitStrip(const MatrixView& m) {
    std::memset(static_cast<void*>(this), 0, sizeof *this);
    spread = Spread::of<Codes>(int8_unit(m));
    rows = Spread::of<Codes>(kBlock / kLanes);
  }

  /// Blocks [begin, end) of `rows` rows from `row`. Rows past them stay as they were, at first
  /// zeros: they are multiplied too and must be finite.
  template <class Units>
  void fill(const Kind& kind, Units& units, const MatrixView& m, std::int64_t row,
            std::int64_t rows, std::int64_t begin, std::int64_t end) {
    const std::int64_t whole = least(end, m.in / kBlock), first = begin * spread.per_block,
                       last = end * spread.per_block;
    units.prepare(row, first, last);
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::byte* from = m.codes + (row + r) * m.row_bytes;
      const Values values = kind.of_row(row + r);
      for (std::int64_t i = first; i < last; i += kLanes) {
        Eight scale, zero;
        units.eight(row + r, i, scale, zero);
        store(scales[r].scale + i - first, mul(scale, all(values.factor())));
        store(scales[r].shift + i - first, mul(scale, sub(zero, all(values.first()))));
      }
      Bytes q[kRegisters];
      for (std::int64_t b = begin; b < end; ++b) {
        if (b < whole)
          Codes::load(from + b * Codes::kBytes, q);
        else
          load_last<Codes>(from + b * Codes::kBytes, m.row_bytes - b * Codes::kBytes, q);
        values.bytes(q, codes[r][b - begin]);
      }
    }
  }

  /// sums[t] = the products of 4 rows, from `r`, with n blocks of `tokens` tokens.
  template <bool in_rows, int tokens>
  void multiply_rows(std::int64_t r, const Int8Input& x, std::int64_t t, std::int64_t begin,
                     std::int64_t n, Four* sums) const {
    constexpr int parts = Parts<Codes>::kParts;
    Eight acc[tokens][4];
    KARAT_UNROLL
    for (int i = 0; i < tokens; ++i) KARAT_UNROLL
    for (int k = 0; k < 4; ++k) acc[i][k] = all(0);
    const std::int8_t* values = x.values + (t * x.blocks + begin) * kBlock;
    const float* x_scales = x.scales + (t * x.blocks + begin) * kLanes;
    for (std::int64_t b = 0; b < n; ++b) {
      Eight x_scale[tokens][parts];  // the same for all parts unless in_rows
      KARAT_UNROLL
      for (int i = 0; i < tokens; ++i) KARAT_UNROLL
      for (int p = 0; p < parts; ++p) {
        const float* own = x_scales + (i * x.blocks + b) * kLanes;
        x_scale[i][p] = in_rows ? rows.part(own, p) : load(own);
      }
      KARAT_UNROLL
      for (int k = 0; k < 4; ++k) {
        const float* scale = scales[r + k].scale + b * spread.per_block;
        Eight of_part[parts];
        KARAT_UNROLL
        for (int p = 0; p < parts; ++p) of_part[p] = spread.part(scale, p);
        KARAT_UNROLL
        for (int i = 0; i < tokens; ++i) {
          const std::int8_t* own = values + (i * x.blocks + b) * kBlock;
          Eight block = all(0);
          KARAT_UNROLL
          for (int p = 0; p < parts; ++p) {
            const Eight part = Values::sum(codes[r + k][b], own, p);
            if constexpr (in_rows)
              acc[i][k] = fma(mul(part, of_part[p]), x_scale[i][p], acc[i][k]);
            else
              block = p == 0 ? mul(part, of_part[p]) : fma(part, of_part[p], block);
          }
          if constexpr (!in_rows) acc[i][k] = fma(block, x_scale[i][0], acc[i][k]);
        }
      }
    }
    KARAT_UNROLL
    for (int i = 0; i < tokens; ++i) {
      const float* unit_sums = x.sums + (t + i) * x.sums_stride + begin * spread.per_block;
      Eight whole[4];
      KARAT_UNROLL
      for (int k = 0; k < 4; ++k) {
        whole[k] = acc[i][k];
        for (std::int64_t u = 0; u < n * spread.per_block; u += kLanes)
          whole[k] = fnma(load(scales[r + k].shift + u), load(unit_sums + u), whole[k]);
      }
      sums[i] = sum_lanes(whole[0], whole[1], whole[2], whole[3]);
    }
  }

  /// multiply_rows of `count` <= `most` tokens.
  template <bool in_rows, int most>
  void multiply_some(std::int64_t r, const Int8Input& x, std::int64_t t, std::int64_t count,
                     std::int64_t begin, std::int64_t n, Four* sums) const {
    if (count == most) return multiply_rows<in_rows, most>(r, x, t, begin, n, sums);
    if constexpr (most > 1) multiply_some<in_rows, most - 1>(r, x, t, count, begin, n, sums);
  }

  /// y[t, r] (+)= the n blocks of `count` rows with all tokens; the first blocks of a row store.
  template <bool in_rows>
  void multiply(const KernelInput& input, std::int64_t begin, std::int64_t n, std::int64_t count,
                float* y, std::int64_t out) const {
    for (std::int64_t t = 0; t < input.tokens; t += kTokens) {
      const std::int64_t tokens = least(kTokens, input.tokens - t);
      for (std::int64_t r = 0; r < count; r += 4) {
        Four sums[kTokens];
        multiply_some<in_rows, kTokens>(r, *input.int8, t, tokens, begin, n, sums);
        add_sums(sums, tokens, least(4, count - r), begin != 0, y + t * out + r, out);
      }
    }
  }
};

template <class Kind, class Units>
void unit_strips(const Kind& kind, Units& units, const MatrixView& m, const KernelInput& input,
                 float* y, std::int64_t row_begin, std::int64_t row_end) {
  using Strip = UnitStrip<Kind>;
  Strip strip(m);
  for (std::int64_t row = row_begin; row < row_end; row += kStrip) {
    const std::int64_t rows = least(kStrip, row_end - row);
    for (std::int64_t b = 0; b < input.int8->blocks; b += Strip::kBlocks) {
      const std::int64_t end = least(b + Strip::kBlocks, input.int8->blocks);
      strip.fill(kind, units, m, row, rows, b, end);
      strip.template multiply<Units::kInRows>(input, b, end - b, rows, y + row, m.out);
    }
    if (m.outlier_offsets != nullptr) add_strip_outliers(m, input, row, rows, y);
  }
}

/// Σ x̂ of each unit of a block.
template <class Codes>
inline void unit_sums(const std::int8_t* values, const float* scales, bool in_rows,
                      std::int64_t unit, float* sums) {
  using P = Parts<Codes>;
  const Spread rows = Spread::of<Codes>(kBlock / kLanes);
  alignas(32) float own[2 * kLanes] = {};
  store(own, load(scales));
  Bytes ones[kRegisters];
  for (Bytes& one : ones) one = all_bytes(1);
  alignas(32) float cells[P::kParts * kLanes];
  KARAT_UNROLL
  for (int p = 0; p < P::kParts; ++p)
    store(cells + p * kLanes,
          mul(P::sum(ones, values, p), in_rows ? rows.part(own, p) : load(own)));
  for (std::int64_t i = 0; i < kBlock; i += unit) {
    float sum = 0;
    for (std::int64_t k = i; k < i + unit; k += P::kLaneInputs) sum += cells[k / P::kLaneInputs];
    *sums++ = sum;
  }
}

}  // namespace

void round_units(const MatrixView& m, const float* x, std::int8_t* values, float* scales,
                 float* sums) {
  const std::int64_t unit = int8_unit(m);
  with_block_codes(m, [&](auto codes) {
    using Codes = decltype(codes);
    const bool in_rows = scales_in_rows(m);
    const auto round = in_rows ? round_rows<Codes> : round_block<Codes, false>;
    round_blocks(x, m.in, values, scales, round, [&](const std::int8_t* block, const float* own) {
      unit_sums<Codes>(block, own, in_rows, unit, sums);
      sums += kBlock / unit;
    });
  });
}

void multiply_many_units(const MatrixView& m, const KernelInput& input, float* y,
                         std::int64_t row_begin, std::int64_t row_end) {
#if defined(__AVX512BW__)
  if (scales_in_rows(m) && m.bits <= 5 && input.tokens >= kManyTokens)
    return multiply_bilevel_many(m, input, y, row_begin, row_end);
#endif
  constexpr std::int64_t kMost = 8 * kBlock / kLanes;  // units of a strip's blocks
  with_units<kMost, true>(m, [&](const auto& kind, auto units) {
    unit_strips(kind, units, m, input, y, row_begin, row_end);
  });
}

}  // namespace karat::KARAT_ISA
