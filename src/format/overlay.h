// Weights of a packed layer brought back to what they were, its codes untouched.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "karat/packed.h"

namespace karat {

/// What is added to one weight of ŵ, as unpack() gives it.
struct Residual {
  std::int64_t index;  // of the weight in [out, in]
  float value;
};

/// The parts outlier_counts, outlier_columns and outlier_values of layer `name` once `residuals`,
/// ascending by index, are in its overlay; a weight that is there already gets the sum. None when
/// the layer keeps nothing. Throws when a value is beyond FP16.
std::vector<OwnedTensor> add_residuals(const std::string& name, const PackedView& layer,
                                       std::span<const Residual> residuals);

/// The same parts of a matrix; only its size and overlay are read.
void pack_overlay(const std::string& name, const PackedMatrix& matrix,
                  std::vector<OwnedTensor>& out);

}  // namespace karat
