// What rounding the parts of a model costs, measured at the original weights.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "karat/recipe.h"

namespace karat {

struct Sensitivity {
  double weights = 0;                 // how many
  double cost = 0;                    // nats a token, of an error as large as the weights
  std::map<int, double> errors = {};  // by bits: ‖ŵ − w‖² ÷ ‖w‖² of plain rounding
  double loss(int bits) const { return cost * errors.at(bits); }
};
using Sensitivities = std::map<std::string, Sensitivity>;  // by layer, ends among them

/// Near its minimum the loss of a token grows by ½ Δᵀ F Δ, F the Fisher information of a token, of
/// which the diagonal counts here. A sequence's gradient is the mean of its T tokens', so its
/// square is 1/T of theirs as long as they are independent: a part costs ½ T Σ F Δ². A rounding
/// error is alike all over a row; Δ² is then w̄², the mean square of the row, times what the grid
/// makes of it at each width, measured on some rows, or on normal numbers under a rotation.
/// (Hessian-trace allocation, HAWQ-V2, arXiv 1911.03852, with the Fisher information for the
/// Hessian.)
class SensitivityMeter {
 public:
  /// `length`: tokens of a sequence.
  SensitivityMeter(const Assembled& recipe, std::int64_t length);
  /// Takes note of a layer's weights and Fisher information. From any thread.
  void see(const Layer& layer);
  /// Of embedding or head, [vocab, hidden] in any type; `fisher` [vocab] of each row.
  void see_end(const std::string& name, const torch::Tensor& weight, const torch::Tensor& fisher);
  const Sensitivities& found() const { return found_; }

 private:
  const Assembled& recipe_;
  double half_tokens_;
  std::map<int, double> rotated_;  // errors, where the transform rotates
  std::mutex mutex_;
  Sensitivities found_;
};

}  // namespace karat
