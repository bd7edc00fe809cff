// Quantized blocks on disk, one file each: interrupted work goes on after the last of them, and
// metrics look back on them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "karat/axes.h"
#include "karat/graph.h"
#include "karat/quantize.h"

namespace karat {

struct QuantizedLayer {
  LayerReport report = {};
  PackedLayout layout = {};
  std::vector<OwnedTensor> tensors = {};
};

/// A finished block as it lies in its file.
struct QuantizedBlock {
  Safetensors file;
  std::vector<LayerReport> reports;             // in model order
  std::map<std::string, PackedLayout> layouts;  // by layer

  PackedView view(const LayerReport& layer) const;
};
/// Tensors of a block that are no linear layer's weight and changed with it: norms and biases.
using ChangedTensors = std::map<std::string, torch::Tensor>;  // F32, by full name

class BlockStore {
 public:
  /// The folder is created; files in it are taken as they are.
  explicit BlockStore(std::filesystem::path folder);

  const std::filesystem::path& folder() const { return folder_; }
  std::size_t finished() const;  // blocks 0 … finished − 1 are there
  void put(std::size_t block, const std::vector<QuantizedLayer>& layers,
           const ChangedTensors& changed = {});
  QuantizedBlock get(std::size_t block) const;
  /// Replaces the linear layers' weights by what their packed tensors decode to, and what changed
  /// with them.
  void decode(std::size_t block, Weights& weights) const;
  /// What changed with them alone.
  ChangedTensors changed(std::size_t block) const;

 private:
  std::filesystem::path path(std::size_t block) const;
  std::filesystem::path folder_;
};

}  // namespace karat
