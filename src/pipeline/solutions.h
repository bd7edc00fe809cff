// What solvers found, block by block on disk: packed bytes say what a layer decodes to, and a tuner
// that comes later wants to know of what.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "karat/axes.h"
#include "karat/safetensors.h"

namespace karat {

/// A layer: where it lies, and as it is solved.
struct SolvedLayer {
  std::string name = {};
  Grid grid = {};
  Solution solution = {};       // its basis included
  torch::Tensor original = {};  // [out, in] where a fold made it another than the model's
};

/// Layers of a block; their tensors are mapped and live as long as this.
struct SolvedBlock {
  Safetensors file;
  std::vector<SolvedLayer> layers = {};
};

class SolutionStore {
 public:
  /// The folder is created. Weights that were rounded are put there where `weights` or something is
  /// kept.
  SolutionStore(std::filesystem::path folder, bool weights);
  void put(std::size_t block, const std::vector<SolvedLayer>& layers) const;
  /// `grid_of` says the grid of a layer. Throws Error on a file that was damaged.
  SolvedBlock get(std::size_t block,
                  const std::function<const Grid&(const std::string& layer)>& grid_of) const;

 private:
  std::filesystem::path path(std::size_t block) const;
  std::filesystem::path folder_;
  bool weights_;
};

}  // namespace karat
