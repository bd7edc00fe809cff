// The steps that quantize() and measure() are made of.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/output.h"
#include "karat/quantize.h"
#include "pipeline/block_store.h"
#include "pipeline/carried.h"
#include "pipeline/sensitivity.h"
#include "pipeline/solutions.h"
#include "pipeline/widths.h"

namespace karat {

/// load: an original model. Throws on a quantized folder.
struct Source {
  std::filesystem::path folder;
  Architecture arch;
  Safetensors files;

  std::string name() const;  // of the folder
};
Source load(const std::filesystem::path& folder);
/// Throws on NaN or Inf in any tensor that the model reads; it reads all of them.
void check_finite(const Source& model);

/// calibrate: the sequences for `needs`; an empty set when there are none. Throws when a text is
/// missing, and when one is given that nothing would read.
CalibrationSet calibrate(const Source& model, const Needs& needs, const Recipe& recipe,
                         const CalibrationRequest& request);

/// measure: one sweep over the original weights shows every linear layer to who wants to see it,
/// with the statistics it asks for, from several threads at once; another one to who asks for
/// factors, whose gradients are of other labels.
struct Observer {
  Needs needs = {};
  std::function<void(const Layer& layer)> see = {};             // empty: none of them
  std::function<void(const EndsFisher& fisher)> see_ends = {};  // after the layers
};
/// The loss of the text; 0 where nobody asks for what gradients tell, and no sweep for nobody.
double measure(const Source& model, const std::vector<Observer>& observers,
               const CalibrationSet& text, const ProgressFn& progress);

/// What selectors choose by.
struct Scoring {
  Metric metric = {};
  Grid grid = {};          // whose rounding error and range the scores may be about
  Selector selector = {};  // turns scores into what keeping a weight is worth
};
/// Gets the layers one at a time, in any order.
using ScoreVisitor = std::function<void(const std::string& layer, const Candidates& candidates)>;
/// Scores every layer, its rounding errors being those of plain rounding.
Observer scores(const Scoring& by, const ScoreVisitor& visit);
/// Puts away what of `needs` comes from gradients, for later sweeps.
Observer carry(const Needs& needs, Carried& into);
/// The same of factors, which have a sweep of their own.
Observer carry_factors(Sketch sketch, Carried& into);

/// What a metric looks back on: a quantization, and the statistics of gradients: along the way to
/// it when the metric has a path, else of the original weights.
struct LookBack {
  const BlockStore& blocks;
  const Carried& statistics;
};
/// measure, looking back: errors are those of the quantization, and what gradients tell is there.
void measure(const Source& model, const Scoring& by, const LookBack& back,
             const CalibrationSet& text, const ScoreVisitor& visit, const ProgressFn& progress);

/// choose: flat indices of the weights that stay at FP16, by layer name; layer by layer as the
/// scores come, or all at once when the selector sees the whole model.
using Chosen = std::map<std::string, torch::Tensor>;
class Chooser {
 public:
  explicit Chooser(const Selector& selector) : selector_(selector) {}
  void see(const std::string& layer, const Candidates& candidates);
  Chosen choose();

 private:
  const Selector& selector_;
  std::map<std::string, Candidates> waiting_;  // when the selector sees the whole model
  Chosen chosen_;
};

/// What the original weights tell, before anything is quantized.
struct Measured {
  Chosen kept = {};
  Sensitivities sensitivities = {};  // where the recipe mixes widths
  double loss = 0;  // of the text under the original weights; 0: no pass computed it
};
/// What is decided by it.
struct Plan {
  Chosen kept = {};
  LayerWidths widths = {};  // where the recipe mixes them
  double loss = 0;
};

/// ends: embedding and head, one matrix where they are tied, rounded into block 0 of `done`, before
/// the blocks, which can then make up for what that changes.
void quantize_ends(const Source& model, const Ends& ends, const LayerWidths& widths,
                   BlockStore& done, const ProgressFn& progress);
/// Puts the embedding that quantize_ends() made in the place of the original one: of the rows that
/// `ids` name; the others say nothing.
void decode_embedding(const Source& model, const BlockStore& ends, const torch::Tensor& ids,
                      Weights& weights);

/// The same of the head, all of it.
void decode_head(const Source& model, const BlockStore& ends, Weights& weights);

/// quantize: block after block into `done`, from the first that is not there. `ends` may be empty.
/// What solvers found goes to `solved`, where somebody wants to learn from it.
void quantize(const Source& model, const Assembled& recipe, const CalibrationSet& text,
              const Plan& plan, const Carried& carried, const BlockStore& ends, BlockStore& done,
              const ProgressFn& progress, const SolutionStore* solved = nullptr);

/// save: the files that make a model, and the report, which learns what was written; then the
/// folder appears. Throws Error when Karat itself could not run it.
void save(const Output& output, const Source& model, const BlockStore& ends,
          const BlockStore& blocks, QuantizeReport& report);

/// Throws Error when Karat itself could not run the model in `folder`.
void check_runs(const std::filesystem::path& folder);

}  // namespace karat
