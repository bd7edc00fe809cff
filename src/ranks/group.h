// The connections of one rank to the others.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "karat/ranks.h"

namespace karat {

class RankGroup {
 public:
  virtual ~RankGroup() = default;
  /// As those of Ranks.
  virtual std::vector<torch::Tensor> exchange(const std::vector<torch::Tensor>& to) = 0;
  virtual RanksTraffic traffic() const = 0;
  /// Tells the others that this rank goes, and why if its work is not done; only the first time.
  virtual void leave(const std::string& why) = 0;
};

/// Throws Error when not all come, or this build cannot connect to them.
std::unique_ptr<RankGroup> join_ranks(const RanksOptions& options);

}  // namespace karat
