// Fisher information of embedding and head, gathered as a sweep's gradients come by.
#pragma once

#include <vector>

#include "karat/calibrate.h"

namespace karat {

/// Sees the head's gradient of every sequence, then that of what enters block 0. Holds, of tied
/// matrices, the rows of the head's gradients that a sequence's own tokens name: where the look-up
/// adds to them.
class EndsStats {
 public:
  EndsStats(const Architecture& arch, const torch::Tensor& ids);  // [sequences, tokens]

  void see_head(std::int64_t sequence, const torch::Tensor& gradient);  // [vocab, hidden]
  /// Of all sequences, [1, tokens, hidden] each.
  void see_inputs(const std::vector<torch::Tensor>& gradients);
  EndsFisher finish() const;

 private:
  const Architecture& arch_;
  struct Sequence {
    torch::Tensor ids, places;  // of its tokens: different ones, and where each is among them
    torch::Tensor head;         // [different ids, hidden], of tied matrices
  };
  std::vector<Sequence> sequences_;
  torch::Tensor embedding_, head_, tied_;  // [vocab] F64, sums
};

}  // namespace karat
