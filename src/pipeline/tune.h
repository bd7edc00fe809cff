// tune: a block whose layers are solved, brought nearer to the original block.
#pragma once

#include "pipeline/steps.h"

namespace karat {

/// How far tuning has come, over all blocks that are still to be done.
class TuneProgress {
 public:
  TuneProgress(const Tuner& tuner, const Source& model, const CalibrationSet& text,
               std::size_t first, const ProgressFn& progress);
  void step(std::size_t block, double loss);

 private:
  static std::int64_t total(const Tuner& tuner, std::int64_t sequences);  // of a block
  std::size_t blocks_;
  Progress progress_;
};

/// Replaces the solutions by those of what the tuner learns of blocks. `block` holds its original
/// weights, all else as it will be, and what it reads and the original one writes. Sequences run
/// side by side.
void tune(const Tuner& tuner, const Architecture& arch, const BlockVisit& block,
          std::vector<SolvedLayer>& layers, TuneProgress& progress);

}  // namespace karat
