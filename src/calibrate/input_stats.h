// Statistics of what enters the linear layers of one block: H = 2 XᵀX / tokens (Frantar et al.
// 2022, "GPTQ"), mean |X| and mean X².
#pragma once

#include <map>
#include <string>

#include "karat/calibrate.h"

namespace karat {

/// Gathers over any number of forward passes of one block. Layers that read the same tensor (q, k
/// and v; gate and up) share one statistic.
class InputStats {
 public:
  explicit InputStats(const Needs& needs) : needs_(needs) {}

  /// The observer of one forward pass; must not outlive this. Empty when nothing is needed.
  LinearObserver observer();
  /// Adds what was needed to the layers' entries; what was gathered is then theirs alone.
  void finish(std::map<std::string, LinearStats>& stats);

 private:
  struct Sum {
    torch::Tensor hessian, input_abs, input_square;
    std::int64_t tokens = 0;
  };
  void observe(const Linear& layer, const torch::Tensor& input);

  Needs needs_;
  std::map<std::string, std::string> leader_;  // layer -> the first layer with its input
  std::map<std::string, Sum> sums_;            // by leader
  torch::Tensor last_input_;  // held, so that no other tensor takes its place in memory
  std::string last_leader_;
};

}  // namespace karat
