// The connections of one rank to the others.
#pragma once

#include <memory>

#include "karat/ranks.h"

namespace karat {

class RankWatch;

class Ranks::Group {
 public:
  explicit Group(const RanksOptions& options);
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  int rank() const { return options_.rank; }
  int size() const { return options_.size; }
  std::vector<torch::Tensor> exchange(const std::vector<torch::Tensor>& to);
  void check() const;
  void leave(const std::string& why);
  RanksTraffic traffic() const { return traffic_; }

 private:
  struct Connections;
  torch::Tensor give(const torch::Tensor& bytes, std::vector<std::int64_t> to,
                     std::vector<std::int64_t> from);
  RanksOptions options_;
  std::unique_ptr<Connections> connections_;
  std::unique_ptr<RankWatch> watch_;
  RanksTraffic traffic_;
  bool left_ = false;
};

}  // namespace karat
