#include "grid/shared/gram_error.h"

#include <algorithm>
#include <numeric>

namespace karat {
namespace {

// A table of 2 MiB, looked up once for every pair of 16 levels.
constexpr std::size_t kWidest = 512, kMostLevels = 16;

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
double sum(const std::vector<double>& a) {
  return std::accumulate(a.begin(), a.end(), 0.0);
}

/// Σ x[i] for i ≥ a, for every a.
std::vector<double> sums_from(const std::vector<double>& x) {
  std::vector<double> result(x.size() + 1);
  for (std::size_t a = x.size(); a-- > 0;) result[a] = result[a + 1] + x[a];
  return result;
}

}  // namespace

void GramError::begin(const Row& row) {
  width_ = row.weight.size();
  pairs_.clear();
  for (std::size_t i = 0; i < width_; ++i)
    if (row.kept.empty() || !row.kept[i])
      pairs_.emplace_back(row.weight[i], static_cast<std::int32_t>(i));
  std::ranges::sort(pairs_);
  count_ = pairs_.size();
  order_.clear(), weight_.clear(), h_one_.clear(), h_weight_.clear();
  for (const auto& [weight, column] : pairs_) {
    order_.push_back(column);
    weight_.push_back(weight);
    h_one_.push_back(row.h_one[static_cast<std::size_t>(column)]);
    h_weight_.push_back(row.h_weight[static_cast<std::size_t>(column)]);
  }
  one_one_ = sum(h_one_);
  one_weight_ = sum(h_weight_);
  weight_weight_ = dot(weight_, h_weight_);
  steps_.begin(weight_);
  tabled_ = count_ <= kWidest && levels_.size() <= kMostLevels;
  tabled_ ? begin_table() : begin_product();
}

double GramError::of(double scale, double zero) {
  if (steps_.follow(scale, zero)) tabled_ ? from_table() : from_product();
  return scale * scale * (square_ - 2 * zero * one_level_ + zero * zero * one_one_) -
         2 * scale * (weight_level_ - zero * one_weight_) + weight_weight_;
}

void GramError::begin_table() {
  const std::size_t stride = count_ + 1;
  table_.assign(stride * stride, 0);
  for (std::size_t a = count_; a-- > 0;) {
    const double* row = row_of_gram(a);
    double *here = &table_[a * stride], *below = here + stride, beyond = 0;
    for (std::size_t b = count_; b-- > a + 1;) here[b] = below[b] + (beyond += row[order_[b]]);
    here[a] = below[a + 1] + 2 * beyond + row[order_[a]];
  }
  one_from_ = sums_from(h_one_);
  weight_from_ = sums_from(h_weight_);
  from_table();
}

void GramError::from_table() {
  constexpr std::size_t kLanes = 4;  // sums side by side: each alone waits for its last addition
  double rises[kMostLevels + kLanes] = {};  // each level's distance to the one below; at first 0
  const double* rows[kMostLevels + kLanes];
  std::ranges::fill(rows, table_.data());
  square_ = one_level_ = weight_level_ = 0;
  for (std::size_t k = 0; k < levels_.size(); ++k) {
    const auto at = static_cast<std::size_t>(steps_.begins()[k]);
    double others[kLanes] = {};
    for (std::size_t j = 0; j < k; j += kLanes)
      for (std::size_t lane = 0; lane < kLanes; ++lane)
        others[lane] += rises[j + lane] * rows[j + lane][at];
    rises[k] = k == 0 ? levels_[0] : static_cast<double>(levels_[k]) - levels_[k - 1];
    rows[k] = &table_[at * (count_ + 1)];
    square_ +=
        rises[k] * (2 * (others[0] + others[1] + others[2] + others[3]) + rises[k] * rows[k][at]);
    one_level_ += rises[k] * one_from_[at];
    weight_level_ += rises[k] * weight_from_[at];
  }
}

void GramError::begin_product() {
  const double top = levels_.back();  // every weight's, before the first line
  code_.assign(count_, static_cast<std::int32_t>(levels_.size()) - 1);
  product_.assign(width_, 0);
  for (std::size_t at = 0; at < count_; ++at)
    for (std::size_t k = 0; k < width_; ++k) product_[k] += top * row_of_gram(at)[k];
  square_ = top * top * one_one_;
  one_level_ = top * one_one_;
  weight_level_ = top * one_weight_;
}

void GramError::from_product() {
  const std::vector<std::int32_t>& begins = steps_.begins();
  for (std::size_t k = 0; k < levels_.size(); ++k)
    for (auto at = static_cast<std::size_t>(begins[k]),
              end = static_cast<std::size_t>(begins[k + 1]);
         at < end; ++at) {
      const auto before = static_cast<std::size_t>(code_[at]);
      if (before == k) continue;
      code_[at] = static_cast<std::int32_t>(k);
      move(at, static_cast<double>(levels_[k]) - levels_[before]);
    }
}

void GramError::move(std::size_t at, double by) {
  const double* row = row_of_gram(at);
  const auto column = static_cast<std::size_t>(order_[at]);
  square_ += by * (2 * product_[column] + by * row[column]);
  one_level_ += by * h_one_[at];
  weight_level_ += by * h_weight_[at];
  for (std::size_t k = 0; k < width_; ++k) product_[k] += by * row[k];
}

}  // namespace karat
