// Codes of a layer and the tables that they index, in the CPU's memory.
#pragma once

#include <span>
#include <vector>

#include "karat/axes.h"

namespace karat {

class TableCodes {
 public:
  /// For weights [out, in], of which `width` consecutive columns, a group, share a table in each
  /// row.
  TableCodes(std::int64_t out, std::int64_t in, std::int64_t width, const Kept& kept);
  /// Those of a group from column `begin` on: codes [out, n], bytes, and tables [out, values] F32.
  void set(std::int64_t begin, const torch::Tensor& codes, const torch::Tensor& tables);
  const torch::Tensor& codes() const { return codes_; }  // [out, in]
  /// What the codes of a group, columns [begin, end), stand for, and 0 where weights are kept.
  torch::Tensor values(std::int64_t begin, std::int64_t end) const;
  /// Better codes for every column in turn, given the others: coordinate descent on Σ eᵀHe over
  /// rows. `slope` [out, in], H e, is kept up to date. Whether any code changed.
  bool descend(const torch::Tensor& hessian, torch::Tensor& slope);

 private:
  /// Values [out, size], and half the distance of each to the nearest other one of its row.
  struct Tables {
    torch::Tensor values, reach;
  };
  struct Curvature {
    const torch::Tensor& hessian;  // [in, in]
    std::vector<float> inverse;    // of its diagonal
  };
  std::size_t group_of(std::int64_t j) const { return static_cast<std::size_t>(j / width_); }
  bool descend(const Curvature& curvature, std::int64_t row, std::span<float> slope,
               std::int64_t begin, std::int64_t end);

  std::int64_t in_, width_;
  torch::Tensor codes_, fixed_;  // [out, in] bytes: codes, and whether kept; undefined: none
  std::vector<Tables> tables_;   // of each group
};

}  // namespace karat
