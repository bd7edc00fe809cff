// One token (decode) and a column trellis: a strip of rows is read block by block, each from top to
// bottom, so that the codes above stay in registers. Outliers are added at the end.
#include "kernel/cpu/isa/int8_columns.h"

#include "kernel/cpu/isa/outliers.h"

namespace karat::KARAT_ISA {
namespace {

constexpr std::int64_t kStrip = 16;  // rows; segments have whole strips
static_assert(kSegmentRows % kStrip == 0);

/// Adds Σ byte·x̂ of a block, whose rows load(row, codes) loads, those above from −kAbove on, to
/// acc [rows].
template <class Table, class Load>
inline void add_block(const Table& table, const Load& load, std::int64_t rows,
                      const std::int8_t* values, Wide::Vector scale, Wide::Vector* acc) {
  Sums partial[kStrip];
  KARAT_UNROLL
  for (int part = 0; part < kRegisters; part += kPart) {
    typename Table::State state[kPart];
    std::memset(static_cast<void*>(state), 0, sizeof state);
    Bytes q[kRegisters];
    for (std::int64_t r = -Table::kAbove; r < 0; ++r) {
      load(r, q);
      KARAT_UNROLL
      for (int k = 0; k < kPart; ++k) Table::enter(q[part + k], state[k]);
    }
    const std::int8_t* x = values + part * static_cast<std::int64_t>(sizeof(Bytes));
    for (std::int64_t r = 0; r < rows; ++r) {
      load(r, q);
      Bytes bytes[kPart];
      KARAT_UNROLL
      for (int k = 0; k < kPart; ++k) bytes[k] = table.sum(q[part + k], state[k]);
      Sums sums = part_sum<Table::kLarge>(bytes, x);
      if (part > 0) sums = add_sums(sums, partial[r]);
      if (part + kPart < kRegisters)
        partial[r] = sums;
      else
        acc[r] = fma(to_floats(sums), scale, acc[r]);
    }
  }
}

/// y of `rows` rows from `row`, a strip. Meanwhile the next strip is requested.
template <class Table>
void column_rows(const Table& table, const MatrixView& m, const KernelInput& input, float shift,
                 float* y, std::int64_t row, std::int64_t rows) {
  using Codes = typename Table::Codes;
  const Int8Input& x = *input.int8;
  const std::int64_t whole = m.in / kBlock, stride = m.row_bytes;
  std::int64_t above[Table::kAbove];  // bytes from this row to those above, the nearest last
  for (int r = 0; r < Table::kAbove; ++r)
    above[r] = (row_above(row, Table::kAbove - r, m.out) - row) * stride;
  Wide::Vector acc[kStrip];
  for (Wide::Vector& one : acc) one = Wide::zeros();
  for (std::int64_t b = 0; b < x.blocks; ++b) {
    const std::byte* p = m.codes + row * stride + b * Codes::kBytes;
    const std::int8_t* values = x.values + b * kBlock;
    const Wide::Vector scale = Wide::repeat(x.scales + b * kLanes);
    const auto load = [&](std::int64_t r, Bytes* q) {
      if (r < 0) return Codes::load(p + above[Table::kAbove + r], q);
      __builtin_prefetch(p + (r + kStrip) * stride, 0, 2);
      Codes::load(p + r * stride, q);
    };
    if (b < whole) {
      add_block(table, load, rows, values, scale, acc);
      continue;
    }
    Bytes ends[Table::kAbove + kStrip][kRegisters];
    for (std::int64_t r = -Table::kAbove; r < rows; ++r)
      load_last<Codes>(p + (r < 0 ? above[Table::kAbove + r] : r * stride),
                       stride - b * Codes::kBytes, ends[Table::kAbove + r]);
    const auto load_end = [&](std::int64_t r, Bytes* q) {
      for (int k = 0; k < kRegisters; ++k) q[k] = ends[Table::kAbove + r][k];
    };
    add_block(table, load_end, rows, values, scale, acc);
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    const float sum = m.columns->step * sum_lanes(fold(acc[r])) - shift;
    y[row + r] = load_half(m.scales, row + r) * sum + outlier_dot(m, row + r, input.x);
  }
}

}  // namespace

void multiply_one_columns(const MatrixView& m, const KernelInput& input, float* y,
                          std::int64_t row_begin, std::int64_t row_end) {
  Eight sums = all(0);
  for (std::int64_t b = 0; b < input.int8->sums_stride; b += kLanes)
    sums = add(sums, load(input.int8->sums + b));
  const float shift = m.columns->step * static_cast<float>(m.columns->zero) * sum_lanes(sums);
  with_columns(m, [&](const auto& table) {
    for (std::int64_t row = row_begin; row < row_end; row += kStrip)
      column_rows(table, m, input, shift, y, row, least(kStrip, row_end - row));
  });
}

}  // namespace karat::KARAT_ISA
