// A model in two folders, for tests: packed, and dense with the weights that it stands for.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "format/random_matrix.h"
#include "karat/packed.h"
#include "run/testing.h"

namespace karat::testing {

inline constexpr double kKept = 0.02;

/// The tiny model with its linear layers packed, and the dense model of the same weights.
struct Twins {
  explicit Twins(const PackedLayout& layout, nlohmann::json config = tiny_config()) {
    write_tiny_llama(dense.path(), config);
    const Architecture arch = read_architecture(dense.path());
    std::vector<OwnedTensor> plain = random_weights(dense.path()), small = plain;
    QuantizationConfig quantization{.method = "test", .layers = {}};
    Rng rng(2);
    for (const Block& block : arch.blocks)
      for (const Linear* linear : block.linears()) {
        const PackedMatrix matrix = random_matrix(rng, layout, linear->out, linear->in, kKept);
        const std::vector<OwnedTensor> parts = pack(linear->name, matrix);
        replace(plain, *linear,
                {f32_tensor(linear->name + ".weight", {linear->out, linear->in},
                            values(parts, *linear, layout))});
        replace(small, *linear, parts);
        quantization.layers[linear->name] = layout;
      }
    write_model(dense.path(), config, plain);
    config["quantization_config"] = nlohmann::json::parse(quantization_json(quantization));
    write_model(packed.path(), config, small);
  }

  static std::vector<float> values(const std::vector<OwnedTensor>& parts, const Linear& linear,
                                   const PackedLayout& layout) {
    std::map<std::string, TensorView, std::less<>> views;
    for (const OwnedTensor& part : parts) views[part.name] = part.view();
    return unpack(packed_view(linear.name, layout, linear.out, linear.in, [&](std::string_view n) {
      const auto found = views.find(n);
      return found == views.end() ? nullptr : &found->second;
    }));
  }

  static void replace(std::vector<OwnedTensor>& tensors, const Linear& linear,
                      const std::vector<OwnedTensor>& parts) {
    std::erase_if(tensors, [&](const OwnedTensor& t) { return t.name == linear.name + ".weight"; });
    tensors.insert(tensors.end(), parts.begin(), parts.end());
  }

  TempFolder dense, packed;
};

}  // namespace karat::testing
