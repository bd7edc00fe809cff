#include "grid/column-trellis/column.h"

#include <algorithm>
#include <vector>

namespace karat {
namespace {

std::vector<float> tabulate(const ColumnCode& code) {
  std::vector<float> values;
  for (int state = 0; state < 1 << code.state_bits; ++state) {
    std::uint8_t codes[ColumnCode::kMostRows] = {};
    for (int r = 0; r < code.rows; ++r)
      codes[r] = static_cast<std::uint8_t>(state >> r * code.bits & ((1 << code.bits) - 1));
    values.push_back(code.step * static_cast<float>(column_sum(code, codes) - code.zero));
  }
  return values;
}

}  // namespace

const float* column_values(int bits) {
  static const std::vector<float> values[] = {
      tabulate(column_code(2)), tabulate(column_code(3)), tabulate(column_code(4)),
      tabulate(column_code(5))};
  return values[bits - 2].data();
}

ColumnSearch::ColumnSearch(int bits, int most_lanes)
    : search_(column_values(bits), column_code(bits).state_bits, bits, most_lanes) {}

// From the last row up, so that the codes above come after.
void ColumnSearch::encode(const float* x, std::int64_t n, std::uint8_t* codes) {
  float upwards[kSegmentRows];
  std::reverse_copy(x, x + n, upwards);
  search_.encode(upwards, n, codes);
  std::reverse(codes, codes + n);
}

void decode_column(int bits, const std::uint8_t* codes, std::int64_t n, float* values) {
  const ColumnCode& code = column_code(bits);
  const int states = (1 << code.state_bits) - 1;
  const float* all = column_values(bits);
  int state = 0;
  for (int r = code.rows - 1; r > 0; --r) state = state << bits | codes[row_above(0, r, n)];
  for (std::int64_t r = 0; r < n; ++r) {
    state = (state << bits | codes[r]) & states;
    values[r] = all[state];
  }
}

}  // namespace karat
