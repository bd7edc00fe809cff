// The tiny models of tests/fixtures/families and what Hugging Face computed for them.
#pragma once

#include <filesystem>

#include "karat/graph.h"

namespace karat {

inline const std::filesystem::path kFamilies =
    std::filesystem::path(KARAT_SOURCE_DIR) / "tests/fixtures/families";

struct FamilyFixture {
  explicit FamilyFixture(const std::string& name)
      : weights(Safetensors::open_folder(kFamilies / name)),
        expected(Safetensors::open(kFamilies / name / "expected.safetensors")),
        arch(read_architecture(kFamilies / name)) {
    match_weights(arch, weights);
  }
  torch::Tensor ids() const { return map_tensor(expected.get("ids")); }  // [batch, time]
  /// Every weight, by name, as float leaves ([out, in] where the file holds a Conv1D).
  Weights leaves() const {
    Weights all = load_ends(arch, weights);
    for (std::size_t i = 0; i < arch.blocks.size(); ++i) all.merge(load_block(arch, weights, i));
    for (auto& [name, tensor] : all) tensor.requires_grad_();
    return all;
  }
  torch::Tensor activations(const Weights& all) const {
    auto x = embed(arch, all, ids());
    for (std::size_t i = 0; i < arch.blocks.size(); ++i) x = block_forward(arch, i, all, x);
    return x;
  }

  Safetensors weights, expected;
  Architecture arch;
};

/// ‖a − b‖ / ‖b‖ (0 for two zero tensors).
inline double relative_error(const torch::Tensor& a, const torch::Tensor& b) {
  const double scale = b.norm().item<double>(), error = (a - b).norm().item<double>();
  return error == 0 ? 0 : error / scale;
}

}  // namespace karat
