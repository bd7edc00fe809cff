// One token (decode) with lookup tables, as in SqueezeLLM (arXiv 2306.07629): the table of a row
// and group lies in registers while its codes are multiplied. No scale, no zero: Σ table[code]·x.
#include "kernel/cpu/isa/outliers.h"
#include "kernel/cpu/isa/x86_tile.h"

namespace karat::KARAT_ISA {
namespace {

/// Adds Σ table[code]·x of `vectors` · 8 inputs to acc, lanes apart, for `rows` rows: they share
/// the loads of x, and their sums do not wait for each other. Sums are kept apart from acc, which
/// the callers index at run time and which is therefore memory.
template <int bits, int rows>
inline void whole_vectors(const Lookup<bits>* table, const std::byte* codes, std::int64_t stride,
                          const float* x, std::int64_t vectors, __m256* acc) {
  __m256 sums[rows];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) sums[r] = acc[r];
  for (; vectors > 0; --vectors, codes += bits, x += kLanes) {
    const __m256 eight = _mm256_loadu_ps(x);
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r)
      sums[r] = _mm256_fmadd_ps(table[r].load(codes + r * stride), eight, sums[r]);
  }
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) acc[r] = sums[r];
}

/// y of `rows` rows. Groups start at whole bytes: their size is a multiple of 8, or there is only
/// one.
template <int bits, int rows>
inline void rows_dot(const MatrixView& m, std::int64_t row, const float* x, float* y) {
  const std::int64_t room = m.row_bytes - kLoadBytes<bits>;
  const std::int64_t fast = room < 0 ? 0 : room / bits + 1;  // vectors of a row loadable whole
  __m256 acc[rows];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) acc[r] = _mm256_setzero_ps();
  for (std::int64_t g = 0; g < m.groups; ++g) {
    Lookup<bits> table[rows];
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) table[r] = load_table<bits>(m, row + r, g);
    const std::int64_t first = g * (m.group / kLanes), n = least(m.group, m.in - g * m.group);
    const std::byte* codes = m.codes + row * m.row_bytes + first * bits;
    const float* xs = x + first * kLanes;
    const std::int64_t whole = least(n / kLanes, fast - first);  // may be negative
    whole_vectors<bits, rows>(table, codes, m.row_bytes, xs, whole, acc);
    for (std::int64_t v = whole > 0 ? whole : 0; v * kLanes < n; ++v) {
      const __m256 last = _mm256_maskload_ps(xs + v * kLanes, first_lanes(n - v * kLanes));
      KARAT_UNROLL
      for (int r = 0; r < rows; ++r)
        acc[r] = _mm256_fmadd_ps(load_near_end(table[r], codes + r * m.row_bytes + v * bits,
                                               m.row_bytes - (first + v) * bits),
                                 last, acc[r]);
    }
  }
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) y[row + r] = sum_lanes(acc[r]) + outlier_dot(m, row + r, x);
}

template <int bits>
void lut_rows(const MatrixView& m, const float* x, float* y, std::int64_t row_begin,
              std::int64_t row_end) {
  constexpr int together = bits == 4 ? 2 : 4;  // four tables of 4 bits would fill 8 registers
  std::int64_t row = row_begin;
  for (; row + together <= row_end; row += together) rows_dot<bits, together>(m, row, x, y);
  for (; row < row_end; ++row) rows_dot<bits, 1>(m, row, x, y);
}

template <int bits>
void unpack_tables(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
                   std::int64_t end, Tile& tile) {
  unpack_tile(m, row, rows, begin, end, tile,
              [&](std::int64_t r, std::int64_t g) { return load_table<bits>(m, row + r, g); });
}

/// body(bits as a type) of the matrix's codes.
template <int bits>
struct Width {
  static constexpr int kBits = bits;
};
template <class Body>
void with_width(const MatrixView& m, const Body& body) {
  if (m.bits == 2) return body(Width<2>{});
  if (m.bits == 3) return body(Width<3>{});
  body(Width<4>{});
}

void one(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
         std::int64_t row_end) {
  with_width(
      m, [&](auto width) { lut_rows<decltype(width)::kBits>(m, input.x, y, row_begin, row_end); });
}

void unpack(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
            std::int64_t end, Tile& tile) {
  with_width(m, [&](auto width) {
    unpack_tables<decltype(width)::kBits>(m, row, rows, begin, end, tile);
  });
}

}  // namespace

extern const FormatKernels lut_kernels;
const FormatKernels lut_kernels = {one, unpack};

}  // namespace karat::KARAT_ISA
