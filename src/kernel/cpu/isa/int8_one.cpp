// One token (decode) whose activations are 8-bit integers: a row's codes are read once, in order,
// and multiplied a register at a time; its outliers are added in the same pass, from the
// activations as they were.
#include "kernel/cpu/isa/int8.h"
#include "kernel/cpu/isa/outliers.h"

namespace karat::KARAT_ISA {
namespace {

/// scale·code·x̂ of one block, added to a row's sum.
template <class Codes>
inline Wide::Vector add_block(const Bytes* q, const std::int8_t* values, Wide::Vector x_scales,
                              float scale, Wide::Vector sum) {
  return fma(block_sum<sum_bits(Codes::kBits)>(q, values), mul(x_scales, Wide::all(scale)), sum);
}

/// Adds Σ scale·code·x̂ of blocks [begin, end) to the sums of `rows` rows, which share the loads of
/// x. What lies `ahead` bytes further on is requested into the L2 cache, for the hardware's
/// prefetchers stop at the end of a page; a request into L1 would hold one of its few line buffers.
template <class Codes, int rows>
inline void add_blocks(const MatrixView& m, std::int64_t row, const Int8Input& x,
                       std::int64_t begin, std::int64_t end, std::int64_t ahead,
                       const RowScales* scales, Wide::Vector* acc) {
  const std::int64_t whole = least(end, m.in / kBlock) - begin, stride = m.row_bytes;
  const std::byte* codes = m.codes + row * stride + begin * Codes::kBytes;
  const std::int8_t* values = x.values + begin * kBlock;
  const float* x_scales = x.scales + begin * kLanes;
  Wide::Vector sums[rows];
  Bytes q[kRegisters];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) sums[r] = acc[r];
  std::int64_t b = 0;
  for (; b < whole; ++b, codes += Codes::kBytes, values += kBlock, x_scales += kLanes) {
    const Wide::Vector of_x = Wide::repeat(x_scales);
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) {
      const std::byte* p = codes + r * stride;
      __builtin_prefetch(p + ahead, 0, 2);
      Codes::load(p, q);
      sums[r] = add_block<Codes>(q, values, of_x, scales[r].scale[b], sums[r]);
    }
  }
  const bool rest = b < end - begin;
  KARAT_UNROLL
  for (int r = 0; r < rows && rest; ++r) {
    load_last<Codes>(codes + r * stride, stride - (begin + b) * Codes::kBytes, q);
    sums[r] = add_block<Codes>(q, values, Wide::repeat(x_scales), scales[r].scale[b], sums[r]);
  }
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) acc[r] = sums[r];
}

/// Scales of a row's blocks, and acc − Σ scale·zero·(Σ x), in any layout.
struct AnyScales {
  static Wide::Vector load(const MatrixView& m, std::int64_t row, std::int64_t begin,
                           std::int64_t end, const float* sums, RowScales& scales,
                           Wide::Vector acc) {
    load_scales(m, row, begin, end, scales);
    return subtract_zeros(scales, sums, end - begin, acc);
  }
};

/// The same where each block has a scale of its own, as most layouts do. Eight are read at a time,
/// past the end of a row into those of the next: there the sums are zeros.
struct BlockScales {
  static Wide::Vector load(const MatrixView& m, std::int64_t row, std::int64_t begin,
                           std::int64_t end, const float* sums, RowScales& scales,
                           Wide::Vector acc) {
    const std::int64_t first = 2 * (row * m.groups + begin);
    Eight eight = first_eight(acc);
    const Eight offset = all(m.bits == 8 ? kByteZero : 0);
    for (std::int64_t i = 0; i < end - begin; i += kLanes) {
      const Eight scale = load_halves(m.scales + first + 2 * i);
      const Eight zero = m.symmetric ? all(m.fixed_zero) : load_halves(m.zeros + first + 2 * i);
      store(scales.scale + i, scale);
      eight = fnma(mul(scale, sub(zero, offset)), KARAT_ISA::load(sums + i), eight);
    }
    return with_first_eight(acc, eight);
  }

  /// Of the rows that end at `end`, the first that BlockScales may not load.
  static std::int64_t limit(const MatrixView& m, std::int64_t end) {
    if (m.group != kBlock) return 0;
    const std::int64_t past = (kLanes - m.groups % kLanes) % kLanes;
    return least(end, m.out - (past + m.groups - 1) / m.groups);
  }
};

/// The same where rows are scaled afterwards: scales of 1, and one zero.
struct UnitScales {
  static Wide::Vector load(const MatrixView& m, std::int64_t, std::int64_t begin, std::int64_t end,
                           const float* sums, RowScales& scales, Wide::Vector acc) {
    Eight eight = first_eight(acc);
    const Eight zero = all(m.fixed_zero - (m.bits == 8 ? kByteZero : 0));
    for (std::int64_t i = 0; i < end - begin; i += kLanes) {
      store(scales.scale + i, all(1));
      eight = fnma(zero, KARAT_ISA::load(sums + i), eight);
    }
    return with_first_eight(acc, eight);
  }
};

/// Σ (code − zero)·scale·x̂ of `rows` rows, lanes of which are yet to be added up.
template <class Codes, class Scales, int rows>
inline void some_rows(const MatrixView& m, const Int8Input& x, std::int64_t row, std::int64_t ahead,
                      Wide::Vector* sums) {
  RowScales scales[rows];
  Wide::Vector acc[rows];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) acc[r] = Wide::zeros();
  for (std::int64_t b = 0; b < x.blocks; b += kRun) {
    const std::int64_t end = least(b + kRun, x.blocks);
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) {
      // Memory would idle meanwhile, so this requests the first of what add_blocks requests.
      const std::byte* next = m.codes + (row + r) * m.row_bytes + b * Codes::kBytes + ahead;
      __builtin_prefetch(next, 0, 2);
      __builtin_prefetch(next + 64, 0, 2);
      acc[r] = Scales::load(m, row + r, b, end, x.sums + b, scales[r], acc[r]);
    }
    add_blocks<Codes, rows>(m, row, x, b, end, ahead, scales, acc);
  }
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) sums[r] = acc[r];
}

/// As many lines of memory are requested into the L2 cache.
inline void ask(const std::byte* next, std::int64_t lines) {
  constexpr std::int64_t kLine = 64;
  for (std::int64_t i = 0; i < lines; ++i) __builtin_prefetch(next + kLine * i, 0, 2);
}

constexpr int kTogether = FourOutliers::kRows;

/// `side_by_side` of kTogether rows are read at a time.
template <class Codes, class Scales, int side_by_side>
void int8_rows(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
               std::int64_t row_end) {
  constexpr std::int64_t kAhead = 8192;  // where rows are read one by one
  const std::int64_t ahead = side_by_side == 1 ? kAhead : kTogether * m.row_bytes;
  FourOutliers::Plan plan(m);
  std::int64_t row = row_begin;
  for (; row + kTogether <= row_end; row += kTogether) {
    Wide::Vector sums[kTogether];
    FourOutliers outliers(m, row, input.x, plan);
    // Not unrolled: some prefetchers follow what one load instruction reads, and each of four would
    // read every fourth row.
    for (int r = 0; r < kTogether; r += side_by_side) {
      for (int k = 0; k < side_by_side; ++k) {
        if (side_by_side > 1) ask(m.codes + (row + k) * m.row_bytes + ahead, plan.eights);
        outliers.take_some();
      }
      some_rows<Codes, Scales, side_by_side>(m, *input.int8, row + r, ahead, sums + r);
    }
    const Four dense = sum_lanes(fold(sums[0]), fold(sums[1]), fold(sums[2]), fold(sums[3]));
    store_four(y + row, add_four(dense, outliers.sums()));
  }
  for (; row < row_end; ++row) {
    Wide::Vector sum;
    some_rows<Codes, Scales, 1>(m, *input.int8, row, ahead, &sum);
    y[row] = sum_lanes(fold(sum)) + outlier_dot(m, row, input.x);
  }
}

template <class Codes, int side_by_side>
void int8_rows(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
               std::int64_t row_end) {
  if (m.row_scales != nullptr)
    return int8_rows<Codes, UnitScales, side_by_side>(m, input, y, row_begin, row_end);
  const std::int64_t limit = BlockScales::limit(m, row_end) / kTogether * kTogether;
  if (row_begin < limit) {
    int8_rows<Codes, BlockScales, side_by_side>(m, input, y, row_begin, limit);
    row_begin = limit;
  }
  int8_rows<Codes, AnyScales, side_by_side>(m, input, y, row_begin, row_end);
}

}  // namespace

void multiply_one_int8(const MatrixView& m, const KernelInput& input, float* y,
                       std::int64_t row_begin, std::int64_t row_end) {
  if (m.columns != nullptr) return multiply_one_columns(m, input, y, row_begin, row_end);
  if (has_small_units(m)) return multiply_one_units(m, input, y, row_begin, row_end);
  with_block_codes(m, [&](auto codes) {
    using Codes = decltype(codes);
    constexpr auto one = int8_rows<Codes, 1>, four = int8_rows<Codes, kTogether>;
    (input.row_by_row ? one : four)(m, input, y, row_begin, row_end);
  });
}

}  // namespace karat::KARAT_ISA
