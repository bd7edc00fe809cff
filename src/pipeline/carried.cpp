#include "pipeline/carried.h"

#include "karat/graph.h"
#include "karat/safetensors.h"
#include "pipeline/owned.h"

namespace karat {

std::filesystem::path Carried::path(const std::string& layer, const std::string& statistic) const {
  return folder_ / (layer + "." + statistic);
}

void Carried::put(const std::string& layer, const std::string& statistic,
                  const torch::Tensor& values) {
  std::filesystem::create_directories(folder_);
  const OwnedTensor tensor = to_owned(statistic, values);
  write_safetensors(path(layer, statistic), std::vector<TensorView>{tensor.view()}, {});
}

bool Carried::has(const std::string& layer, const std::string& statistic) const {
  return std::filesystem::exists(path(layer, statistic));
}

torch::Tensor Carried::get(const std::string& layer, const std::string& statistic) const {
  const Safetensors file = Safetensors::open(path(layer, statistic));
  const torch::Tensor values = map_tensor(file.get(statistic)).clone();
  file.check();
  return values;
}

}  // namespace karat
