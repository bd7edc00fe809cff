#include "load/ends.h"

#include <string_view>

namespace karat {

std::vector<std::string> ends_of(const Architecture& arch) {
  if (arch.tied()) return {arch.embedding};
  return {arch.embedding, arch.head};
}

std::string layer_of(const std::string& weight) {
  constexpr std::string_view kWeight = ".weight";
  return weight.ends_with(kWeight) ? weight.substr(0, weight.size() - kWeight.size()) : weight;
}

}  // namespace karat
