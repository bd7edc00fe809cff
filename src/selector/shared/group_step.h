// One step of groups that give up entries to FP16 (selector saving).
#pragma once

#include "karat/axes.h"

namespace karat {

/// The error of some rows, one group each, under a mask: in all [rows, 1], of each entry [rows, n].
struct Rounded {
  torch::Tensor cost, each;
};
Rounded round_rows(const Grid& grid, const torch::Tensor& weight, const torch::Tensor& cost,
                   const torch::Tensor& kept);

/// Saved per entry [rows, 1], 0 where nothing is, and which one or two entries that takes [rows,
/// n].
struct GroupStep {
  torch::Tensor gain, entries;
};
/// The best step of each row. Gains below `floor` may come out too small.
GroupStep best_step(const Grid& grid, const torch::Tensor& weight, const torch::Tensor& cost,
                    const torch::Tensor& kept, double floor);

}  // namespace karat
