// Codes of a column trellis (format/codec/column-trellis/code.h) become bytes as a kernel goes down
// the rows of a block: the codes of the rows above stay in registers, and a look-up in a table is
// one shuffle of bytes. Tables are the matrix's; which codes meet in which is compiled in, as the
// factors of column_code say, and a test holds it to them.
#pragma once

#include <type_traits>

#include "kernel/cpu/isa/int8.h"

namespace karat::KARAT_ISA {
namespace {

[[maybe_unused]] inline Bytes twice(Bytes v) {
  return add_bytes(v, v);
}

/// What a register of codes depends on of those above it: enter() takes the next row's codes;
/// sum() gives the bytes of a row and enters its codes.
template <int bits>
struct Column;

template <>
struct Column<2> {
  Bytes before, pair[2], four[2];  // 4·c[1]; c[r] ⊕ 4·c[r + 1] of the last two rows; two of those

  template <class Meet>
  void step(Bytes c, const Meet& meet) {
    const Bytes own = exclusive_or(c, before), both = exclusive_or(own, pair[1]);
    meet(own, both, exclusive_or(own, four[1]));
    before = twice(twice(c));
    pair[1] = pair[0], pair[0] = own;
    four[1] = four[0], four[0] = both;
  }
};

template <>
struct Column<3> {
  Bytes one, twice_one, two, rest;  // c[1], 2·c[1], c[2], 2·c[2] ⊕ c[3]

  template <class Meet>
  void step(Bytes c, const Meet& meet) {
    const Bytes doubled = twice(c), first = exclusive_or(c, twice_one);
    const Bytes second = exclusive_or(doubled, one);
    meet(first, exclusive_or(second, two), exclusive_or(first, rest), exclusive_or(second, rest));
    rest = exclusive_or(twice_one, two);
    two = one;
    one = c, twice_one = doubled;
  }
};

template <>
struct Column<4> {
  Bytes one, both;  // c[1], c[1] ⊕ c[2]

  template <class Meet>
  void step(Bytes c, const Meet& meet) {
    const Bytes second = exclusive_or(c, one);
    meet(c, second, exclusive_or(c, both));
    both = second;
    one = c;
  }
};

template <>
struct Column<5> {
  Bytes one, rest;  // c[1], c[1] / 2 ⊕ 2·c[2]

  template <class Meet>
  void step(Bytes c, const Meet& meet) {
    const Bytes half = halved(c);
    meet(c, exclusive_or(half, one), exclusive_or(c, rest));
    rest = exclusive_or(half, twice(one));
    one = c;
  }
};

/// The tables of a matrix in registers, and how they are read.
template <int width>
struct Columns {
  static constexpr int kBits = width, kTables = width == 3 ? 4 : 3;
  static constexpr int kAbove = width == 2 ? 5 : width == 3 ? 3 : 2;  // rows that a value needs
  static constexpr bool kLarge = width == 5;                          // sums above 63
  static constexpr std::integral_constant<int, kLarge ? 8 : 6> sum_width() { return {}; }  // bits
  using Codes = BlockCodes<width>;
  using State = Column<width>;

  explicit Columns(const MatrixView& m) {
    KARAT_UNROLL
    for (int t = 0; t < kTables; ++t) table[t] = load_table(m.columns->table[t]);
  }

  static void enter(Bytes codes, State& state) {
    state.step(codes, [](auto...) {});
  }
  Bytes sum(Bytes codes, State& state) const {
    Bytes found;
    state.step(codes, [&](Bytes first, Bytes second, auto... more) {
      const Bytes two = add_bytes(look_up(table[0], first), look_up(table[1], second));
      found = add_more(two, 2, more...);
    });
    return found;
  }

  Bytes table[kTables];

 private:
  template <class... More>
  Bytes add_more(Bytes sum, int t, Bytes index, More... more) const {
    sum = add_bytes(sum, look_up(table[t], index));
    if constexpr (sizeof...(more) > 0) return add_more(sum, t + 1, more...);
    return sum;
  }
};

/// A block's codes of row `row`; those past the row's end read 0.
template <class Codes>
inline void load_block(const MatrixView& m, std::int64_t row, std::int64_t b, Bytes* q) {
  const std::byte* p = m.codes + row * m.row_bytes + b * Codes::kBytes;
  if (b < m.in / kBlock) return Codes::load(p, q);
  load_last<Codes>(p, m.row_bytes - b * Codes::kBytes, q);
}

/// The sums of a block from row `row` on, row after row.
template <class Table>
class ColumnBlock {
 public:
  ColumnBlock(const Table& table, const MatrixView& m, std::int64_t row, std::int64_t b)
      : table_(table), m_(m), row_(row), b_(b) {
    std::memset(static_cast<void*>(state_), 0, sizeof state_);
    for (std::int64_t above = Table::kAbove; above > 0; --above) {
      Bytes q[kRegisters];
      load_block<typename Table::Codes>(m, row_above(row, above, m.out), b, q);
      KARAT_UNROLL
      for (int k = 0; k < kRegisters; ++k) Table::enter(q[k], state_[k]);
    }
  }
  void next(Bytes* to) {
    load_block<typename Table::Codes>(m_, row_++, b_, to);
    KARAT_UNROLL
    for (int k = 0; k < kRegisters; ++k) to[k] = table_.sum(to[k], state_[k]);
  }

 private:
  const Table& table_;
  const MatrixView& m_;
  std::int64_t row_, b_;
  typename Table::State state_[kRegisters];
};

/// Calls body(columns) with the Columns of the matrix.
template <class Body>
inline void with_columns(const MatrixView& m, const Body& body) {
  if (m.bits == 2) return body(Columns<2>(m));
  if (m.bits == 3) return body(Columns<3>(m));
  if (m.bits == 4) return body(Columns<4>(m));
  body(Columns<5>(m));
}

}  // namespace
}  // namespace karat::KARAT_ISA
