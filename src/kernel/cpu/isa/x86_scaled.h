// One token (decode) with scales and zeros: codes are multiplied as they are unpacked, and a row's
// outliers are added in the same pass. Σ s(q − z)x = Σ_g s·(Σ qx) − Σ_g s·z·(Σ x): Σ x per group
// comes with the input; q is the code or its value in a list.
#pragma once

#include "kernel/cpu/isa/outliers.h"
#include "kernel/cpu/isa/x86_codes.h"

namespace karat::KARAT_ISA {
namespace {

/// Groups whose statistics are unpacked at a time: 8 KiB of them, which stay in the L1 cache.
constexpr std::int64_t kChunk = 64;

/// Where rows' codes, the inputs they meet and their scales stand; moved on from group to group.
struct Cursor {
  const std::byte* codes;  // of the first row
  std::int64_t stride;     // bytes from row to row
  const float* x;
  const float* scale;  // of the first row; kRows floats from group to group
};

/// Adds scale·Σ value·x of `count` groups of `vectors` · 8 inputs to acc, lanes apart, for `rows`
/// rows: they share the loads of x, and their sums do not wait for each other. `fixed`: vectors,
/// when known, for a loop of two would cost as much as its body.
template <class Codes, int rows, int fixed>
inline void whole_groups(Codes decode, Cursor& at, std::int64_t count, std::int64_t vectors,
                         __m256* acc) {
  const std::int64_t n = fixed > 0 ? fixed : vectors;
  __m256 total[rows];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) total[r] = acc[r];
  for (; count > 0; --count) {
    __m256 sums[rows];
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) sums[r] = _mm256_setzero_ps();
    for (std::int64_t v = 0; v < n; ++v, at.codes += Codes::kBits, at.x += kLanes) {
      const __m256 x = _mm256_loadu_ps(at.x);
      KARAT_UNROLL
      for (int r = 0; r < rows; ++r)
        sums[r] = _mm256_fmadd_ps(decode.load(at.codes + r * at.stride), x, sums[r]);
    }
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r)
      total[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(at.scale + r), sums[r], total[r]);
    at.scale += kRows;
  }
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) acc[r] = total[r];
}

/// The same for one group of n inputs at the end of the rows, of which `fast` vectors may be loaded
/// whole and `available` bytes read.
template <class Codes, int rows>
inline void last_group(Codes decode, Cursor& at, std::int64_t n, std::int64_t fast,
                       std::int64_t available, __m256* acc) {
  constexpr int bits = Codes::kBits;
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) {
    const std::byte* codes = at.codes + r * at.stride;
    __m256 sum = _mm256_setzero_ps(), other = sum;
    std::int64_t v = 0;
    for (const std::int64_t whole = least(n / kLanes, fast); v < whole; ++v)
      sum = _mm256_fmadd_ps(decode.load(codes + v * bits), _mm256_loadu_ps(at.x + v * kLanes), sum);
    for (; v * kLanes < n; ++v)
      other = _mm256_fmadd_ps(load_near_end(decode, codes + v * bits, available - v * bits),
                              _mm256_maskload_ps(at.x + v * kLanes, first_lanes(n - v * kLanes)),
                              other);
    acc[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(at.scale + r), _mm256_add_ps(sum, other), acc[r]);
  }
  at.codes += n / kLanes * bits;
  at.x += n;
  at.scale += kRows;
}

/// RowsDot of codes in streams.
template <class Codes, int rows>
inline void streams_dot(Codes decode, const MatrixView& m, std::int64_t row, std::int64_t begin,
                        std::int64_t end, const float* scale, const float* x, __m256* acc) {
  constexpr int bits = Codes::kBits;
  const std::int64_t vectors = m.group / kLanes, room = m.row_bytes - kLoadBytes<bits>;
  const std::int64_t fast = room < 0 ? 0 : room / bits + 1;  // vectors of a row loadable whole
  const std::int64_t whole = m.group % kLanes != 0 ? 0 : least(fast / vectors, m.in / m.group);
  const std::int64_t count = least(end, whole) - begin, skip = begin * vectors;
  Cursor at{m.codes + row * m.row_bytes + skip * bits, m.row_bytes, x + skip * kLanes, scale};
  if (vectors == 2)
    whole_groups<Codes, rows, 2>(decode, at, count, vectors, acc);
  else
    whole_groups<Codes, rows, 0>(decode, at, count, vectors, acc);
  for (std::int64_t g = begin + (count > 0 ? count : 0); g < end; ++g) {
    const std::int64_t first = g * vectors;
    last_group<Codes, rows>(decode, at, least(m.group, m.in - g * m.group), fast - first,
                            m.row_bytes - first * bits, acc);
  }
}

/// add() adds Σ_g scale·Σ value·x over groups [begin, end) of `rows` rows to acc, lanes apart.
/// Groups start at whole bytes: their size is a multiple of 8, or there is only one.
template <class Codes, int rows>
struct RowsDot {
  static void add(Codes decode, const MatrixView& m, std::int64_t row, std::int64_t begin,
                  std::int64_t end, const float* scale, const float* x, __m256* acc) {
    streams_dot<Codes, rows>(decode, m, row, begin, end, scale, x, acc);
  }
};

/// Σ_g scale·zero·(Σ x) of 16 rows, added to to[2].
inline void zero_sums(const Stats& stats, const float* sums, std::int64_t groups, __m256* to) {
  __m256 a = to[0], b = to[1];
  for (std::int64_t g = 0; g < groups; ++g) {
    const __m256 sum = _mm256_broadcast_ss(sums + g);
    const float *s = stats.scale + g * kRows, *z = stats.zero + g * kRows;
    a = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_load_ps(s), _mm256_load_ps(z)), sum, a);
    b = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_load_ps(s + 8), _mm256_load_ps(z + 8)), sum, b);
  }
  to[0] = a;
  to[1] = b;
}

template <class Codes>
void packed_rows(Codes decode, const MatrixView& m, const KernelInput& input, float* y,
                 std::int64_t row_begin, std::int64_t row_end) {
  Stats stats;
  for (std::int64_t row = row_begin; row < row_end; row += kRows) {
    const std::int64_t rows = least(kRows, row_end - row);
    __m256 acc[kRows], zeros[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (std::int64_t r = 0; r < kRows; ++r) acc[r] = _mm256_setzero_ps();
    for (std::int64_t g = 0; g < m.groups; g += kChunk) {
      const std::int64_t end = least(g + kChunk, m.groups);
      load_stats(m, row, g, end, stats);
      zero_sums(stats, input.group_sums + g, end - g, zeros);
      std::int64_t r = 0;
      for (; r + 4 <= rows; r += 4)
        RowsDot<Codes, 4>::add(decode, m, row + r, g, end, stats.scale + r, input.x, acc + r);
      for (; r < rows; ++r)
        RowsDot<Codes, 1>::add(decode, m, row + r, g, end, stats.scale + r, input.x, acc + r);
    }
    alignas(32) float zero[kRows];
    _mm256_store_ps(zero, zeros[0]);
    _mm256_store_ps(zero + 8, zeros[1]);
    for (std::int64_t r = 0; r < rows; ++r)
      y[row + r] = sum_lanes(_mm256_mul_ps(acc[r], Codes::lane_scale())) - zero[r] +
                   outlier_dot(m, row + r, input.x);
  }
}

}  // namespace
}  // namespace karat::KARAT_ISA
