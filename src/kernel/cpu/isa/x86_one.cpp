// One token (decode): codes are multiplied as they are unpacked, and a row's outliers are added in
// the same pass. Σ s(q − z)x = Σ_g s·(Σ qx) − Σ_g s·z·(Σ x): Σ x per group comes with the input;
// q is the code or its value in a codebook.
#include <type_traits>

#include "kernel/cpu/isa/outliers.h"
#include "kernel/cpu/isa/x86_blocks.h"
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

/// rows_dot of codes in streams.
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

/// Adds Σ value·x of n inputs, whole blocks, to sums, lanes apart, for `rows` rows.
template <int rows>
inline void whole_blocks(const std::byte* codes, std::int64_t stride, const float* x,
                         std::int64_t n, __m256* sums) {
  alignas(32) std::byte values[rows][kCodeBlock];
  for (; n > 0; n -= kCodeBlock, codes += kCodeBlockBytes, x += kCodeBlock) {
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) unpack_block(codes + r * stride, values[r]);
    for (std::int64_t i = 0; i < kCodeBlock; i += kLanes) {
      const __m256 eight = _mm256_loadu_ps(x + i);
      KARAT_UNROLL
      for (int r = 0; r < rows; ++r)
        sums[r] = _mm256_fmadd_ps(Numbers<8>::load(values[r] + i), eight, sums[r]);
    }
  }
}

/// Adds scale·Σ value·x of the stream of n < 128 codes that the rows end with.
template <int rows>
inline void last_stream(const MatrixView& m, std::int64_t row, std::int64_t n, const float* scale,
                        const float* x, __m256* acc) {
  const std::int64_t first = m.in - n, begin = first / kLanes * 3, available = m.row_bytes - begin;
  const std::int64_t room = available - kLoadBytes<3>;
  Cursor at{m.codes + row * m.row_bytes + begin, m.row_bytes, x + first, scale};
  __m256 sums[rows];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) sums[r] = _mm256_setzero_ps();
  last_group<Numbers<3>, rows>({}, at, n, room < 0 ? 0 : room / 3 + 1, available, sums);
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r)
    acc[r] = _mm256_fmadd_ps(sums[r], Numbers<3>::lane_scale(), acc[r]);
}

/// rows_dot of 3-bit codes in blocks, of which groups have whole numbers but for the row's end.
template <int rows>
inline void blocks_dot(const MatrixView& m, std::int64_t row, std::int64_t begin, std::int64_t end,
                       const float* scale, const float* x, __m256* acc) {
  const std::byte* codes = m.codes + row * m.row_bytes;
  const std::int64_t whole = m.in / kCodeBlock * kCodeBlock;
  for (std::int64_t g = begin; g < end; ++g, scale += kRows) {
    const std::int64_t first = g * m.group, last = least(first + m.group, m.in);
    __m256 sums[rows];
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) sums[r] = _mm256_setzero_ps();
    whole_blocks<rows>(codes + first / kLanes * 3, m.row_bytes, x + first,
                       least(last, whole) - first, sums);
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r)
      acc[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(scale + r), sums[r], acc[r]);
    if (last > whole) last_stream<rows>(m, row, last - whole, scale, x, acc);
  }
}

/// Adds Σ_g scale·Σ value·x over groups [begin, end) of `rows` rows to acc, lanes apart. Groups
/// start at whole bytes: their size is a multiple of 8, or there is only one.
template <class Codes, int rows>
inline void rows_dot(Codes decode, const MatrixView& m, std::int64_t row, std::int64_t begin,
                     std::int64_t end, const float* scale, const float* x, __m256* acc) {
  if constexpr (std::is_same_v<Codes, InBlocks>)
    return blocks_dot<rows>(m, row, begin, end, scale, x, acc);
  else
    return streams_dot<Codes, rows>(decode, m, row, begin, end, scale, x, acc);
}

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
        rows_dot<Codes, 4>(decode, m, row + r, g, end, stats.scale + r, input.x, acc + r);
      for (; r < rows; ++r)
        rows_dot<Codes, 1>(decode, m, row + r, g, end, stats.scale + r, input.x, acc + r);
    }
    alignas(32) float zero[kRows];
    _mm256_store_ps(zero, zeros[0]);
    _mm256_store_ps(zero + 8, zeros[1]);
    for (std::int64_t r = 0; r < rows; ++r)
      y[row + r] = sum_lanes(_mm256_mul_ps(acc[r], Codes::lane_scale())) - zero[r] +
                   outlier_dot(m, row + r, input.x);
  }
}

/// Asks for what lies 4 KiB after weights [i, i + 32): the hardware's prefetchers stop at the end
/// of a page.
template <MatrixView::Store store>
inline void prefetch_ahead(const std::byte* dense, std::int64_t i) {
  constexpr std::int64_t kBytes = store == MatrixView::Store::f32 ? 4 : 2, kAhead = 4096;
  KARAT_UNROLL
  for (std::int64_t line = 0; line < 32 * kBytes; line += 64)
    __builtin_prefetch(dense + kBytes * i + kAhead + line, 0, 2);
}

template <MatrixView::Store store>
void dense_rows(const MatrixView& m, const float* x, float* y, std::int64_t row_begin,
                std::int64_t row_end) {
  const std::int64_t whole = m.in / kLanes * kLanes;
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    const std::int64_t at = row * m.in;
    __m256 a = _mm256_setzero_ps(), b = a, c = a, d = a;
    std::int64_t i = 0;
    for (; i + 32 <= whole; i += 32) {
      prefetch_ahead<store>(m.dense, at + i);
      a = _mm256_fmadd_ps(load_dense(store, m.dense, at + i), _mm256_loadu_ps(x + i), a);
      b = _mm256_fmadd_ps(load_dense(store, m.dense, at + i + 8), _mm256_loadu_ps(x + i + 8), b);
      c = _mm256_fmadd_ps(load_dense(store, m.dense, at + i + 16), _mm256_loadu_ps(x + i + 16), c);
      d = _mm256_fmadd_ps(load_dense(store, m.dense, at + i + 24), _mm256_loadu_ps(x + i + 24), d);
    }
    for (; i < whole; i += kLanes)
      a = _mm256_fmadd_ps(load_dense(store, m.dense, at + i), _mm256_loadu_ps(x + i), a);
    if (const std::int64_t n = m.in - i; n > 0)
      b = _mm256_fmadd_ps(load_dense_tail(store, m.dense, at + i, n),
                          _mm256_maskload_ps(x + i, first_lanes(n)), b);
    y[row] = sum_lanes(_mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d)));
  }
}

}  // namespace

void multiply_one(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
                  std::int64_t row_end) {
  using Store = MatrixView::Store;
  if (m.store == Store::f32) return dense_rows<Store::f32>(m, input.x, y, row_begin, row_end);
  if (m.store == Store::f16) return dense_rows<Store::f16>(m, input.x, y, row_begin, row_end);
  if (m.store == Store::bf16) return dense_rows<Store::bf16>(m, input.x, y, row_begin, row_end);
  if (m.trellis) return multiply_trellis(m, input, y, row_begin, row_end);
  if (m.tables != nullptr) return multiply_lut(m, input, y, row_begin, row_end);
  if (m.values != nullptr) return packed_rows(load_list(m.values), m, input, y, row_begin, row_end);
  if (m.bits == 2) return packed_rows(Numbers<2>{}, m, input, y, row_begin, row_end);
  if (m.blocks) return packed_rows(InBlocks{}, m, input, y, row_begin, row_end);
  if (m.bits == 3) return packed_rows(Numbers<3>{}, m, input, y, row_begin, row_end);
  if (m.bits == 4) return packed_rows(Numbers<4>{}, m, input, y, row_begin, row_end);
  packed_rows(Numbers<8>{}, m, input, y, row_begin, row_end);
}

}  // namespace karat::KARAT_ISA
