// The steps that quantize() and measure() are made of.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "karat/quantize.h"
#include "pipeline/block_store.h"
#include "pipeline/carried.h"
#include "pipeline/widths.h"

namespace karat {

/// load: an original model, checked. Throws on a quantized folder and on NaN or Inf in any tensor.
struct Source {
  std::filesystem::path folder;
  Architecture arch;
  Safetensors files;

  std::string name() const;  // of the folder
};
Source load(const std::filesystem::path& folder);

/// calibrate: the sequences for `needs`; an empty set when there are none. Throws when a text is
/// missing, and when one is given that nothing would read.
CalibrationSet calibrate(const Source& model, const Needs& needs, const Recipe& recipe,
                         const CalibrationRequest& request);

/// What a metric looks back on: a quantization, and the statistics of gradients: along the way to
/// it when the metric has a path, else of the original weights.
struct LookBack {
  const BlockStore& blocks;
  const Carried& statistics;
};

/// measure: what selectors choose by, of every linear layer as the sweep comes by.
using ScoreVisitor = std::function<void(const Linear& layer, const Candidates& candidates)>;
struct MeasureStep {
  Metric metric = {};
  Grid grid = {};                  // whose rounding error and range the scores may be about
  Selector selector = {};          // turns scores into what keeping a weight is worth
  Needs later = {};                // what later sweeps will ask for
  Carried* carried = nullptr;      // takes what of it comes from gradients
  const LookBack* back = nullptr;  // errors are those of its blocks; it has what gradients tell
  /// Gets every layer with its Fisher information, from several threads at once.
  std::function<void(const Layer& layer)> see = {};

  Needs needs() const;
};
SweepResult measure(const Source& model, const MeasureStep& step, const CalibrationSet& text,
                    const ScoreVisitor& visit, const ProgressFn& progress);

/// choose: flat indices of the weights that stay at FP16, by layer name.
using Chosen = std::map<std::string, torch::Tensor>;
class Chooser {
 public:
  explicit Chooser(const Selector& selector) : selector_(selector) {}
  void operator()(const Linear& layer, const Candidates& candidates);
  Chosen finish();

 private:
  const Selector& selector_;
  std::map<std::string, Candidates> waiting_;  // when the selector sees the whole model
  Chosen chosen_;
};

/// What is decided before anything is quantized.
struct Plan {
  Chosen kept = {};
  LayerWidths widths = {};  // where the recipe mixes them
};

/// quantize: block after block into `done`, from the first that is not there.
void quantize_blocks(const Source& model, const Assembled& recipe, const CalibrationSet& text,
                     const Plan& plan, const Carried& carried, BlockStore& done,
                     const ProgressFn& progress);

/// save: model.safetensors, or shards with an index once there is more than `limit` bytes.
class ShardWriter {
 public:
  ShardWriter(std::filesystem::path folder, std::size_t limit);
  void add(const TensorView& view);  // the bytes must live until finish()
  void add(OwnedTensor tensor);
  void finish();

 private:
  void flush(const std::filesystem::path& path);
  std::filesystem::path shard_path(std::size_t index, std::size_t count) const;
  std::filesystem::path folder_;
  std::size_t limit_, bytes_ = 0, total_ = 0;
  std::vector<OwnedTensor> owned_;
  std::vector<TensorView> views_;
  std::vector<std::vector<std::string>> shards_;  // tensor names of those written
};
inline constexpr std::size_t kShardBytes = std::size_t{512} << 20;

/// The original config.json with a quantization_config.
std::string quantized_config(const std::filesystem::path& folder, const QuantizationConfig& config);

std::int64_t peak_memory();  // bytes

}  // namespace karat
