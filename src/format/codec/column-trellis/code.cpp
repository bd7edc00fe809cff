#include "format/codec/column-trellis/code.h"

namespace karat {
namespace {

/// What tools/column_tables.py prints.
constexpr ColumnCode kCodes[] = {
    {.bits = 2,
     .rows = 6,
     .tables = 3,
     .state_bits = 12,
     .factor = {{1, 4, 0, 0, 0, 0}, {1, 4, 1, 4, 0, 0}, {1, 4, 1, 4, 1, 4}},
     .shift = {0, 0, 0},
     .table = {{4, 11, 5, 0, 5, 8, 6, 10, 11, 16, 14, 8, 11, 8, 13, 3},
               {11, 14, 7, 13, 3, 15, 9, 0, 7, 3, 7, 18, 12, 11, 5, 9},
               {10, 8, 0, 17, 14, 10, 17, 2, 4, 13, 6, 14, 19, 5, 10, 8}},
     .zero = 27,
     .step = 1.0f / 8},
    {.bits = 3,
     .rows = 4,
     .tables = 4,
     .state_bits = 12,
     .factor = {{1, 2, 0, 0}, {2, 1, 1, 0}, {1, 2, 2, 1}, {2, 1, 2, 1}},
     .shift = {0, 0, 0, 0},
     .table = {{7, 7, 2, 5, 17, 8, 6, 10, 0, 9, 4, 14, 9, 12, 13, 11},
               {11, 4, 12, 16, 7, 5, 6, 7, 9, 8, 14, 13, 3, 11, 10, 0},
               {5, 7, 6, 10, 7, 4, 8, 11, 0, 10, 9, 15, 2, 12, 17, 13},
               {14, 8, 11, 2, 4, 8, 9, 15, 6, 12, 5, 9, 0, 6, 17, 11}},
     .zero = 34,
     .step = 1.0f / 8},
    {.bits = 4,
     .rows = 3,
     .tables = 3,
     .state_bits = 12,
     .factor = {{1, 0, 0}, {1, 1, 0}, {1, 1, 1}},
     .shift = {0, 0, 0},
     .table = {{5, 15, 7, 0, 6, 10, 8, 12, 14, 21, 18, 11, 13, 9, 16, 3},
               {12, 16, 9, 15, 3, 18, 10, 0, 7, 5, 8, 21, 14, 13, 6, 11},
               {11, 8, 0, 16, 15, 10, 18, 3, 5, 13, 6, 14, 21, 7, 12, 9}},
     .zero = 31,
     .step = 1.0f / 8},
    {.bits = 5,
     .rows = 3,
     .tables = 3,
     .state_bits = 13,
     .factor = {{1, 0, 0}, {1, 2, 0}, {2, 1, 4}},
     .shift = {0, 1, 1},
     .table = {{18, 16, 6, 12, 42, 20, 14, 26, 0, 22, 9, 37, 24, 30, 33, 28},
               {28, 9, 30, 42, 18, 12, 14, 16, 22, 20, 36, 33, 6, 26, 24, 0},
               {12, 17, 15, 24, 18, 9, 20, 28, 0, 26, 23, 37, 6, 30, 42, 33}},
     .zero = 63,
     .step = 1.0f / 16},
};

/// a ⊗ b: the sum of b << i over the bits i of a, without carries.
unsigned times(unsigned a, unsigned b) {
  unsigned product = 0;
  for (int i = 0; a >> i != 0; ++i)
    if ((a >> i & 1) != 0) product ^= b << i;
  return product;
}

}  // namespace

const ColumnCode& column_code(int bits) {
  return kCodes[bits - kCodes[0].bits];
}

int column_sum(const ColumnCode& code, const std::uint8_t* codes) {
  int sum = 0;
  for (int t = 0; t < code.tables; ++t) {
    unsigned index = 0;
    for (int r = 0; r < code.rows; ++r) index ^= times(code.factor[t][r], codes[r]);
    sum += code.table[t][index >> code.shift[t] & 15];
  }
  return sum;
}

}  // namespace karat
