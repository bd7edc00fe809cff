// eᵀHe of one row's rounding error e under one line after another.
#pragma once

#include <span>
#include <vector>

#include "grid/shared/steps.h"

namespace karat {

/// With v the levels that weights w round to, e = s·(v − z) − w, so eᵀHe is a polynomial in scale s
/// and zero z with the coefficients vᵀHv, vᵀH1 and vᵀHw. Sorted weights have ascending levels: v is
/// a sum of steps, and the coefficients are sums over pairs of steps of what H holds beyond both,
/// which one table for each row gives. Rows too wide for the table carry Hv along.
class GramError {
 public:
  /// H = `gram` [n, n], symmetric. Both must outlive this.
  GramError(std::span<const double> gram, std::span<const float> levels)
      : gram_(gram), levels_(levels), steps_(levels) {}

  struct Row {
    std::span<const float> weight;            // [n]
    std::span<const bool> kept;               // [n] these do not take part; empty: none
    std::span<const double> h_one, h_weight;  // [n] H1 and Hw, kept entries of 1 and w being 0
  };
  /// The row to come.
  void begin(const Row& row);
  /// eᵀHe at a scale > 0 and a zero.
  double of(double scale, double zero);

 private:
  void begin_table();
  void begin_product();
  void from_table();
  void from_product();
  void move(std::size_t at, double by);
  const double* row_of_gram(std::size_t at) const {
    return gram_.data() + static_cast<std::size_t>(order_[at]) * width_;
  }

  std::span<const double> gram_;
  std::span<const float> levels_;
  Steps steps_;
  std::size_t width_ = 0, count_ = 0;  // n, and how many of them take part: m
  bool tabled_ = false;
  double one_one_ = 0, one_weight_ = 0, weight_weight_ = 0;  // 1ᵀH1, 1ᵀHw, wᵀHw
  double square_ = 0, one_level_ = 0, weight_level_ = 0;     // vᵀHv, 1ᵀHv, wᵀHv
  // [m] of those that take part, weights ascending: columns, w, H1 and Hw.
  std::vector<std::pair<float, std::int32_t>> pairs_;
  std::vector<std::int32_t> order_;
  std::vector<double> weight_, h_one_, h_weight_;
  // With a table: Σ of H, of H1 and of Hw over all entries from a (and from b ≥ a) on.
  std::vector<double> table_;                   // [m + 1, m + 1], b ≥ a alone
  std::vector<double> one_from_, weight_from_;  // [m + 1]
  // Without: Hv of all n columns, and each weight's code.
  std::vector<double> product_;
  std::vector<std::int32_t> code_;
};

}  // namespace karat
