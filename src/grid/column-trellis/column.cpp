#include "grid/column-trellis/column.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace karat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::int64_t kMostBits = 16;  // of sequences that are all tried
constexpr std::int64_t kAround = 16;    // rows that a first pass reads around the seam, per row of
                                        // those that a value depends on
constexpr float kLost = 1e6;            // the cost of a seam that a byte doesn't tell
constexpr float kTail = 2.5;            // numbers from here on are met by few values

/// Codes of the rows of a state or a seam, which are numbers in base 2^bits.
std::uint8_t code_in(unsigned state, std::int64_t row, int bits) {
  return static_cast<std::uint8_t>(state >> row * bits & ((1u << bits) - 1));
}

/// The same codes from the other end.
unsigned reversed(unsigned codes, int rows, int bits) {
  unsigned found = 0;
  for (int r = 0; r < rows; ++r) found = found << bits | code_in(codes, r, bits);
  return found;
}

/// The sum of a state, whose lowest bits are the lowest row's code, of all tables or of some.
int sum_of(const ColumnCode& code, unsigned state, int first_table, int last_table) {
  std::uint8_t codes[ColumnCode::kMostRows] = {};
  for (int r = 0; r < code.rows; ++r) codes[r] = code_in(state, r, code.bits);
  return column_sum(code, codes, first_table, last_table);
}

std::vector<float> tabulate(const ColumnCode& code) {
  std::vector<float> values;
  for (unsigned state = 0; state < 1u << code.rows * code.bits; ++state)
    values.push_back(code.step *
                     static_cast<float>(sum_of(code, state, 0, ColumnCode::kTables) - code.zero));
  return values;
}

/// Values of all states of codes of 2 to 5 bits, before the row's scale. Computed once.
const std::vector<float>& values_of(int bits) {
  static const std::vector<float> values[] = {tabulate(column_code(2)), tabulate(column_code(3)),
                                              tabulate(column_code(4)), tabulate(column_code(5))};
  return values[bits - 2];
}

/// Costs are counted in this share of the error that codes of so many bits leave at best, as much
/// as lets bytes hold how far paths differ.
double unit_of(int bits) {
  return 0.45 * std::pow(4.0, -bits);
}

}  // namespace

ColumnSearch::ColumnSearch(int bits, ColumnStep step)
    : code_(column_code(bits)),
      step_(step),
      finest_(static_cast<float>(unit_of(bits) / (code_.step * code_.step))),
      unit_(finest_) {
  const unsigned choices = 1u << bits, between = 1u << (code_.rows - 2) * bits;
  for (unsigned c = 0; c < choices; ++c) {
    for (unsigned q = 0; q < between; ++q)
      near_.push_back(static_cast<std::uint8_t>(
          sum_of(code_, reversed(q, code_.rows - 2, bits) << bits | c, 1, ColumnCode::kTables)));
    far_.push_back(static_cast<std::uint8_t>(sum_of(code_, c, 0, 1)));
  }
  const auto [least_far, most_far] = std::ranges::minmax_element(far_);
  for (unsigned c = 0; c < choices; ++c) {
    const auto first = near_.begin() + static_cast<std::ptrdiff_t>(c * between);
    const auto [least_near, most_near] = std::minmax_element(first, first + between);
    least_ = std::min(c == 0 ? *least_near + *least_far : least_, *least_near + *least_far);
    most_ = std::max(most_, *most_near + *most_far);
  }
  sums_ = {bits, between, near_.data(), far_.data()};
}

/// Costs of the sums for a number whose sum would be `place`. Far from it they rise slowly, so that
/// a number which no path is near to leaves paths as they compare.
SumCosts ColumnSearch::costs_of(float place, bool wide) const {
  constexpr float kNear = 80;
  const float slope = (kMostCost - kNear) / static_cast<float>(wide ? kWideSums : kNarrowSums);
  const float unit = wide ? kWideUnit * unit_ : unit_, reach = std::sqrt(kNear * unit);
  place = std::clamp(place, static_cast<float>(least_), static_cast<float>(most_));
  SumCosts costs{wide, wide ? 0 : static_cast<int>(std::floor(place)) - kNarrowSums / 2, {}};
  for (int i = 0; i < (wide ? kWideSums : kNarrowSums); ++i) {
    const float error = std::abs(static_cast<float>(costs.lowest + i) - place);
    const float cost = error < reach ? error * error / unit : kNear + (error - reach) * slope;
    costs.cost[i] = static_cast<std::uint8_t>(cost + 0.5f);
  }
  if (!wide) costs.cost[kNarrowSums] = kMostCost;
  return costs;
}

/// The best sequence of n codes, whose seams before the first row and after the last are `seam` or,
/// if that is kFree, any; returns the one before row `at`.
int ColumnSearch::search(const float* x, std::int64_t n, int seam, std::int64_t at,
                         std::uint8_t* codes) {
  const int bits = code_.bits, choices = 1 << bits, above = code_.rows - 1;
  const std::int64_t between = sums_.between, seams = between * choices;
  const auto costs = [&](std::int64_t t) { return costs_.data() + t * seams; };
  const auto place = [&](std::int64_t t) { return x[t] / code_.step + float(code_.zero); };
  costs_.resize(std::max(costs_.size(), static_cast<std::size_t>((n + 1) * seams)));
  std::fill_n(costs(0), seams, seam == kFree ? 0 : kMostCost);
  if (seam != kFree) costs(0)[seam] = 0;
  for (std::int64_t t = 0; t < n; ++t) {
    // Few values are there to choose from in the tails, after them, and where the seam's codes are
    // fixed: a path may have none near.
    const bool few = std::abs(x[t]) > kTail || (seam != kFree && (t < above || t >= n - above));
    const auto step = [&](bool wide) {
      return step_(sums_, costs_of(place(t), wide), costs(t), costs(t + 1));
    };
    if (few || step(false) >= kMostCost) step(true);
  }

  auto now = seam != kFree ? seam : std::min_element(costs(n), costs(n) + seams) - costs(n);
  auto found = now;
  for (std::int64_t t = n - 1; t >= 0; --t) {
    const std::int64_t c = now / between, q = now % between;
    float least = kInfinity;
    std::int64_t oldest = 0;
    for (std::int64_t o = 0; o < choices; ++o) {
      // What came before the first row is known.
      if (seam != kFree && t < above && o != code_in(seam, t, bits)) continue;
      const int sum = near_[now] + far_[c ^ o];
      const float error = place(t) - static_cast<float>(sum);
      const int before = costs(t)[q * choices + o];
      const float cost = (before < kMostCost ? before : kLost) + error * error / unit_;
      if (cost < least) oldest = o;
      least = std::min(least, cost);
    }
    codes[t] = static_cast<std::uint8_t>(c);
    now = q * choices + oldest;
    if (t == at) found = now;
  }
  return static_cast<int>(found);
}

void ColumnSearch::search_all(const float* x, std::int64_t n, std::uint8_t* codes) const {
  const std::vector<float>& values = values_of(code_.bits);
  float least = kInfinity;
  unsigned best = 0;
  for (unsigned all = 0; all < 1u << n * code_.bits; ++all) {
    float cost = 0;
    for (std::int64_t t = 0; t < n; ++t) {
      unsigned state = 0;
      for (std::int64_t r = 0; r < code_.rows; ++r)
        state |= unsigned{code_in(all, row_above(t, r, n), code_.bits)} << r * code_.bits;
      cost += (x[t] - values[state]) * (x[t] - values[state]);
    }
    if (cost < least) best = all;
    least = std::min(least, cost);
  }
  for (std::int64_t t = 0; t < n; ++t) codes[t] = code_in(best, t, code_.bits);
}

void ColumnSearch::encode(const float* x, std::int64_t n, std::uint8_t* codes) {
  if (n * code_.bits <= kMostBits) return search_all(x, n, codes);
  // Compensation makes late columns wide, where paths differ by more.
  const float square = std::inner_product(x, x + n, x, 0.0f) / static_cast<float>(n);
  unit_ = finest_ * std::max(1.0f, square * square);
  constexpr std::int64_t kMostAround = kAround * ColumnCode::kMostRows;
  const std::int64_t length = kAround * code_.rows, before = length / 2;
  float around[kMostAround];  // rows before the seam and after it
  for (std::int64_t i = 0; i < length; ++i) around[i] = x[((i - before) % n + n) % n];
  std::uint8_t unused[kMostAround];
  search(x, n, search(around, length, kFree, before, unused), n, codes);
}

void decode_column(int bits, const std::uint8_t* codes, std::int64_t n, float* values) {
  const ColumnCode& code = column_code(bits);
  const std::vector<float>& all = values_of(bits);
  std::size_t state = 0;
  for (int r = code.rows - 1; r > 0; --r) state = state << bits | codes[row_above(0, r, n)];
  for (std::int64_t r = 0; r < n; ++r) {
    state = (state << bits | codes[r]) & (all.size() - 1);
    values[r] = all[state];
  }
}

}  // namespace karat
