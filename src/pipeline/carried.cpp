#include "pipeline/carried.h"

#include "karat/graph.h"
#include "karat/safetensors.h"
#include "pipeline/owned.h"

namespace karat {

Carried::~Carried() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::filesystem::path Carried::path(const std::string& layer) const {
  return folder_ / (layer + ".fisher");
}

void Carried::put(const std::string& layer, const torch::Tensor& fisher) {
  std::filesystem::create_directories(folder_);
  const OwnedTensor tensor = to_owned("fisher", fisher);
  write_safetensors(path(layer), std::vector<TensorView>{tensor.view()}, {});
}

torch::Tensor Carried::fisher(const std::string& layer) const {
  const Safetensors file = Safetensors::open(path(layer));
  return map_tensor(file.get("fisher")).clone();
}

}  // namespace karat
