// What a quantization does to the loss, and what is said to do it: Taylor's first two terms at the
// weights, and the post-quantization integral (arXiv 2503.01901, its Tables 1 to 3).
#pragma once

#include "karat/quantize.h"

namespace karat {

struct ExplainJob {
  std::filesystem::path model = {};
  std::filesystem::path quantized = {};  // a Karat folder made from it; empty: rounded to `grid`
  std::string grid = "uniform";
  std::string metric = "pqi";                              // one with a path
  std::vector<std::int64_t> intervals = {1, 2, 4, 8, 16};  // to compare the rules with
  CalibrationRequest calibration = {};
  ProgressFn progress = {};
};

/// The change of the loss when some weights w become ŵ = w + Δ. g and H are those at w.
struct LossChange {
  double first = 0;     // gᵀΔ
  double second = 0;    // ½ΔᵀHΔ
  double path = 0;      // what the metric's path integral predicts
  double measured = 0;  // in double precision
};
/// The same for a part of the way, w + at · Δ of all blocks.
struct PartOfWay {
  double at = 0, first = 0, second = 0, measured = 0;
};
/// What path integrals of `intervals` nodes predict for all blocks.
struct RuleComparison {
  std::int64_t intervals = 0;
  double midpoint = 0;
  std::optional<double> mean_endpoints = {};  // has two nodes at least
};

struct ExplainReport {
  std::string model = {}, quantized = {}, metric = {};  // spelled out in full
  CalibrationSet calibration = {};
  double loss = 0;                      // at w
  std::vector<LossChange> blocks = {};  // each quantized alone
  LossChange all = {};
  std::vector<PartOfWay> parts = {};
  std::vector<RuleComparison> rules = {};
  std::vector<std::string> warnings = {};  // of the model's folder: Architecture::warnings
};
std::string to_json(const ExplainReport& report);

/// For B blocks and a path of N nodes: B·N sweeps with gradients, 3·B forward alone in double
/// precision, and some more for all blocks together. ½ΔᵀHΔ is the second difference of the loss.
ExplainReport explain(const ExplainJob& job);

}  // namespace karat
