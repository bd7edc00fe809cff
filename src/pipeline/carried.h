// Statistics that one sweep found and a later one needs again.
#pragma once

#include <filesystem>
#include <string>

#include "karat/torch.h"

namespace karat {

/// One file a statistic and layer, so that a model's worth of them takes disk and page cache
/// instead of memory. The folder appears with the first one.
class Carried {
 public:
  explicit Carried(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void put(const std::string& layer, const std::string& statistic,
           const torch::Tensor& values);  // F32; replaces what was there
  bool has(const std::string& layer, const std::string& statistic) const;
  torch::Tensor get(const std::string& layer, const std::string& statistic) const;  // a copy

 private:
  std::filesystem::path path(const std::string& layer, const std::string& statistic) const;
  std::filesystem::path folder_;
};

}  // namespace karat
