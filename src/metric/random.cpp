// metric random: the control group of every selector contest. The numbers depend on the seed and
// the layer's name alone.
#include "core/rng.h"
#include "karat/axes.h"

namespace karat {
namespace {

std::uint64_t hash(const std::string& text) {  // FNV-1a, 64 bits
  std::uint64_t value = 0xcbf29ce484222325u;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return value;
}

torch::Tensor random_scores(const Layer& layer, std::uint64_t seed) {
  Rng rng(hash(layer.name) + seed);
  torch::Tensor scores = torch::empty(layer.weight.sizes(), torch::kFloat32);
  float* values = scores.data_ptr<float>();
  for (std::int64_t i = 0; i < scores.numel(); ++i) values[i] = static_cast<float>(rng.uniform());
  return scores.to(layer.weight.device());
}

}  // namespace

Metric random_metric(Options& options) {
  const auto seed = static_cast<std::uint64_t>(
      options.integer("seed", 0, 0, INT32_MAX, "another seed, another draw"));
  return {.score = [seed](const Layer& layer, const auto&) { return random_scores(layer, seed); }};
}

}  // namespace karat
