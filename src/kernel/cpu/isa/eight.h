// The vocabulary of the units that are written once for all instruction sets: Eight floats, which
// every set has as one register or two; Four; and Wide, the widest register that the set has, for
// the loops where width pays; in a unit that defines KARAT_NARROW, Wide is eight floats whatever
// the set. x86_eight.h and neon_eight.h say what the words mean.
#pragma once

#include "kernel/cpu/isa/isa.h"

#if defined(__AVX2__)
#include "kernel/cpu/isa/x86_eight.h"
#else
#include "kernel/cpu/isa/neon_eight.h"
#endif

namespace karat::KARAT_ISA {
namespace {

using Cell = CellBlock::Cell;

/// Eight as a parameter of templates, which take no register types.
struct Narrow {
  using Vector = Eight;
  static constexpr std::int64_t kLanes = 8;
  static Vector zeros() { return all(0); }
  static Vector all(float x) { return KARAT_ISA::all(x); }
  static Vector load(const float* p) { return KARAT_ISA::load(p); }
  static Vector load_first(const float* p, std::int64_t n) { return KARAT_ISA::load_first(p, n); }
  static void store(float* p, Vector v) { KARAT_ISA::store(p, v); }
  static Vector repeat(const float* eight) { return KARAT_ISA::load(eight); }
  template <Cell cell>
  static Vector load_cells(const std::byte* data, std::int64_t i) {
    if constexpr (cell == Cell::f32) return load(reinterpret_cast<const float*>(data + 4 * i));
    if constexpr (cell == Cell::f16) return load_halves(data + 2 * i);
    if constexpr (cell == Cell::i8) return load_int8(data + i);
  }
};

#if !defined(__AVX512F__) || defined(KARAT_NARROW)
using Wide = Narrow;

/// A Wide's eights added up; its first eight, and it with another first eight.
[[maybe_unused]] inline Eight fold(Eight v) {
  return v;
}
[[maybe_unused]] inline Eight first_eight(Eight v) {
  return v;
}
[[maybe_unused]] inline Eight with_first_eight(Eight, Eight first) {
  return first;
}
#endif

/// y[t] (+)= sums[t] for `rows` <= 4 rows; the first tile of inputs stores, the others add.
[[maybe_unused]] inline void add_sums(const Four* sums, std::int64_t tokens, std::int64_t rows,
                                      bool add, float* y, std::int64_t stride) {
  for (std::int64_t t = 0; t < tokens; ++t, y += stride) {
    alignas(16) float four[4];
    if (rows == 4) {
      store_four(y, add ? add_four(load_four(y), sums[t]) : sums[t]);
      continue;
    }
    store_four(four, sums[t]);
    for (std::int64_t r = 0; r < rows; ++r) y[r] = add ? y[r] + four[r] : four[r];
  }
}

/// The first of n > 0 halves, at most eight, then zeros; nothing past the n is read.
[[maybe_unused]] inline Eight load_first_halves(const std::byte* from, std::int64_t n) {
  if (n >= kLanes) return load_halves(from);
  std::byte buffer[2 * kLanes] = {};
  std::memcpy(buffer, from, static_cast<std::size_t>(2 * n));
  return load_halves(buffer);
}

/// The first n <= 8 lanes of v, then zeros.
[[maybe_unused]] inline Eight keep_first(Eight v, std::int64_t n) {
  return select_first(n, v, all(0));
}

}  // namespace
}  // namespace karat::KARAT_ISA
