// Statistics that the gradient sweep found and the quantizing sweep needs again.
#pragma once

#include <filesystem>
#include <string>

#include "karat/torch.h"

namespace karat {

/// One file a layer, so that a model's worth of them takes disk and page cache instead of memory.
/// The folder appears with the first statistic and is removed with this object.
class Carried {
 public:
  explicit Carried(std::filesystem::path folder) : folder_(std::move(folder)) {}
  ~Carried();
  Carried(const Carried&) = delete;
  Carried& operator=(const Carried&) = delete;

  void put(const std::string& layer, const torch::Tensor& fisher);  // F32 [out, in]
  torch::Tensor fisher(const std::string& layer) const;             // a copy, on the CPU

 private:
  std::filesystem::path path(const std::string& layer) const;
  std::filesystem::path folder_;
};

}  // namespace karat
