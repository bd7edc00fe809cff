// One token (decode) and units smaller than blocks: as in int8_one.cpp, with the scales of each
// part of a block.
#define KARAT_NARROW
#include "kernel/cpu/isa/int8_units.h"
#include "kernel/cpu/isa/outliers.h"
#if defined(__AVX2__)
#include "kernel/cpu/isa/bilevel_one.h"
#endif

namespace karat::KARAT_ISA {
namespace {

constexpr std::int64_t kUnits = 512;  // of a row whose scales are had at a time
constexpr int kTogether = FourOutliers::kRows;
static_assert(kStrip % kTogether == 0);

/// The blocks [begin, end) of a row, at most kUnits units, and what they meet.
struct Run {
  const MatrixView& m;
  const Int8Input& x;
  const Spread& spread;
  std::int64_t begin, end;

  const float* sums() const { return x.sums + begin * spread.per_block; }
  std::int64_t units() const { return (end - begin) * spread.per_block; }
};

/// Σ V·scale·x̂ of a block, whose codes have become bytes, added to a row's sum. `rows`: where the
/// scales of activations stand if in_rows.
template <class Values, bool in_rows>
inline Eight add_block(const Bytes* bytes, const std::int8_t* x, const float* x_scales,
                       const Spread& rows, const Spread& spread, const float* scale, Eight sum) {
  constexpr int parts = Parts<typename Values::Codes>::kParts;
  Eight block = all(0);
  KARAT_UNROLL
  for (int p = 0; p < parts; ++p) {
    const Eight of_part = spread.part(scale, p), part = Values::sum(bytes, x, p);
    if constexpr (in_rows)
      sum = fma(mul(part, of_part), rows.part(x_scales, p), sum);
    else
      block = p == 0 ? mul(part, of_part) : fma(part, of_part, block);
  }
  return in_rows ? sum : fma(block, load(x_scales), sum);
}

/// Adds the products of a run to a row's sum. What lies kAhead bytes further on is requested, as in
/// int8_one.cpp; rows are read one after the other on every CPU. Not inlined: what its loop counts
/// would not fit the registers beside what its callers hold.
template <class Values, bool in_rows>
[[gnu::noinline]] Eight add_blocks(const Run& run, const Values& row_values, std::int64_t row,
                                   const float* scale, Eight sum) {
  constexpr auto add = add_block<Values, in_rows>;
  using Codes = typename Values::Codes;
  constexpr std::int64_t kAhead = 8192;
  const std::int64_t whole = least(run.end, run.m.in / kBlock) - run.begin;
  const std::byte* p = run.m.codes + row * run.m.row_bytes + run.begin * Codes::kBytes;
  const std::int8_t* x = run.x.values + run.begin * kBlock;
  const float* x_scales = run.x.scales + run.begin * kLanes;
  const Spread spread = run.spread, rows = in_rows ? Spread::of<Codes>(kBlock / kLanes) : spread;
  const Values values = row_values;
  Bytes q[kRegisters], bytes[Values::kBytes];
  for (const std::byte* end = p + whole * Codes::kBytes; p < end; p += Codes::kBytes) {
    __builtin_prefetch(p + kAhead, 0, 2);
    if constexpr (Codes::kBytes > 64) __builtin_prefetch(p + kAhead + 64, 0, 2);
    Codes::load(p, q);
    values.bytes(q, bytes);
    sum = add(bytes, x, x_scales, rows, spread, scale, sum);
    x += kBlock, x_scales += kLanes, scale += spread.per_block;
  }
  if (run.begin + whole == run.end) return sum;
  load_last<Codes>(p, run.m.row_bytes - (run.begin + whole) * Codes::kBytes, q);
  values.bytes(q, bytes);
  return add(bytes, x, x_scales, rows, spread, scale, sum);
}

/// Adds Σ (V − zero)·scale·x̂ of a run to a row's sum. Not inlined either.
template <class Kind, class Units>
[[gnu::noinline]] Eight add_run(const Kind& kind, const Units& units, const Run& run,
                                std::int64_t row, Eight sum) {
  alignas(32) float scales[kUnits + kLanes];
  const typename Kind::Row values = kind.of_row(row);
  const std::int64_t first = run.begin * run.spread.per_block, n = run.units();
  const Eight factor = all(values.factor()), zero_of_values = all(values.first());
  const float* sums = run.sums();
  for (std::int64_t i = 0; i < n; i += kLanes) {
    Eight scale, zero;
    units.eight(row, first + i, scale, zero);
    store(scales + i, mul(scale, factor));
    sum = fnma(mul(scale, sub(zero, zero_of_values)), load(sums + i), sum);
  }
  return add_blocks<typename Kind::Row, Units::kInRows>(run, values, row, scales, sum);
}

template <class Kind, class Units>
void unit_rows(const Kind& kind, Units& units, const MatrixView& m, const KernelInput& input,
               float* y, std::int64_t row_begin, std::int64_t row_end) {
  const Spread spread = Spread::of<typename Kind::Row::Codes>(int8_unit(m));
  const Int8Input& x = *input.int8;
  const std::int64_t blocks = kUnits / spread.per_block;
  FourOutliers::Plan plan(m);
  for (std::int64_t row = row_begin; row < row_end; row += kStrip) {
    const std::int64_t rows = least(kStrip, row_end - row);
    Eight acc[kStrip];
    alignas(32) float kept[kStrip];  // what outliers give
    for (Eight& one : acc) one = all(0);
    for (std::int64_t b = 0; b < x.blocks; b += blocks) {
      const Run run{m, x, spread, b, least(b + blocks, x.blocks)};
      units.prepare(row, b * spread.per_block, run.end * spread.per_block);
      std::int64_t r = 0;
      for (; b == 0 && r + kTogether <= rows; r += kTogether) {
        FourOutliers outliers(m, row + r, input.x, plan);
        for (int k = 0; k < kTogether; ++k) {
          outliers.take_some();
          acc[r + k] = add_run(kind, units, run, row + r + k, acc[r + k]);
        }
        store_four(kept + r, outliers.sums());
      }
      for (; r < rows; ++r) {
        if (b == 0) kept[r] = outlier_dot(m, row + r, input.x);
        acc[r] = add_run(kind, units, run, row + r, acc[r]);
      }
    }
    for (std::int64_t r = 0; r < rows; ++r) y[row + r] = sum_lanes(acc[r]) + kept[r];
  }
}

}  // namespace

void multiply_one_units(const MatrixView& m, const KernelInput& input, float* y,
                        std::int64_t row_begin, std::int64_t row_end) {
#if defined(__AVX2__)
  constexpr bool kRows = false;
  if (scales_in_rows(m)) return multiply_bilevel_one(m, input, y, row_begin, row_end);
#else
  constexpr bool kRows = true;
#endif
  with_units<kUnits, kRows>(m, [&](const auto& kind, auto units) {
    unit_rows(kind, units, m, input, y, row_begin, row_end);
  });
}

}  // namespace karat::KARAT_ISA
