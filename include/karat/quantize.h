// From a Hugging Face folder to a smaller one: load, calibrate, measure, choose, quantize, save.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "karat/calibrate.h"
#include "karat/progress.h"
#include "karat/recipe.h"

namespace karat {

/// The text that statistics come from. What is not given is the method's own default: its number of
/// samples, 2048 tokens or as many as the model knows, seed 0.
struct CalibrationRequest {
  std::filesystem::path file;  // empty: none
  std::string field = "text";  // the key of a JSON record's text
  std::optional<std::int64_t> samples, length, seed;
};

struct QuantizeJob {
  std::filesystem::path model = {}, out = {};
  bool replace = false;  // a former output in `out` is replaced once the new one is complete, and
                         // unfinished work of other jobs beside it is discarded
  std::string method = "karat";
  Overrides overrides = {};
  CalibrationRequest calibration = {};
  std::string command = {};  // as typed; the report repeats it
  ProgressFn progress = {};
};

/// What became of one linear layer, or of the embedding or the head.
struct LayerReport {
  std::string name;
  std::int64_t out = 0, in = 0;
  double bits = 0;                          // per weight, of all stored parts
  double kept_share = 0;                    // of weights at FP16
  double weight_error = 0;                  // ‖W − Ŵ‖² / ‖W‖²
  std::optional<double> output_error = {};  // tr(E H Eᵀ) / tr(W H Wᵀ), E = W − Ŵ, when H is known
  std::string stored = {};                  // its layout in words, "4-bit g128"
  std::optional<double> sensitivity = {};       // of a weight, by which mixed widths were chosen
  std::optional<double> expected_loss = {};     // nats a token, likewise; see QuantizePlan::loss
  std::optional<std::int64_t> few_tokens = {};  // LinearStats::few_tokens
  double seconds = 0;
};

struct QuantizeReport {
  std::string command = {};  // as typed
  std::string model;         // its folder's name
  Recipe recipe;             // spelled out in full
  Overrides overrides;
  std::optional<CalibrationSet> calibration = {};
  double loss = 0;  // of the calibration text under the original model; 0 when not computed
  std::vector<LayerReport> layers = {};
  std::vector<LayerReport> ends = {};   // embedding and head, where the recipe rounds them
  std::vector<std::string> files = {};  // of the output folder, this report aside
  std::vector<LearnedLoss> learned = {};
  std::int64_t resumed_blocks = 0;  // that an interrupted run had finished
  std::int64_t file_bytes = 0;      // of all *.safetensors
  double file_bits = 0;             // per parameter of the whole model
  double layer_bits = 0;            // per weight of the quantized layers
  double seconds = 0;
  std::int64_t peak_bytes = 0;             // resident memory, mapped files included
  std::vector<std::string> warnings = {};  // of the model's folder, Architecture::warnings, and of
                                           // a size that widths cannot fill
  /// Nats a token, of the parts whose widths were chosen; see QuantizePlan::loss.
  std::optional<double> expected_loss() const;
};
/// JSON as karat_report.json holds it.
std::string to_json(const QuantizeReport& report);

/// Throws Error on whatever is wrong, and leaves nothing behind. What can be known beforehand is
/// known before any pass: the output, the text, and whether the recipe fits the model.
QuantizeReport quantize(const QuantizeJob& job);

/// How one linear layer, or the embedding or the head, will be stored.
struct PlannedPart {
  std::string name;
  std::int64_t out = 0, in = 0;
  std::string stored;               // its layout in words
  std::int64_t bytes = 0;           // of its packed tensors and its share of kept weights
  std::optional<double> loss = {};  // nats a token that its rounding is expected to cost
};
struct QuantizePlan {
  std::string model;
  Recipe recipe;  // spelled out in full
  std::optional<CalibrationSet> calibration = {};
  std::vector<PlannedPart> layers = {}, ends = {};  // `ends`: those that are rounded
  std::int64_t file_bytes = 0;    // that all *.safetensors will take: as many, or, with weights
                                  // that only the work itself keeps or folds, at most
  std::int64_t parameters = 0;    // of the model
  std::int64_t budget_bytes = 0;  // 0: none
  /// Nats a token that the planned parts are expected to cost: ½ Σ T F Δ², F the Fisher information
  /// of sequences of T predictions, Δ² the error of plain rounding. Takes errors and the gradients
  /// of tokens for independent, and counts nothing of what a solver makes up for.
  std::optional<double> loss = {};
  std::filesystem::path work = {};  // holds what was measured; empty: nothing was
  std::vector<std::string> warnings = {};
  double file_bits() const;   // a parameter of the whole model
  double layer_bits() const;  // a weight of the linear layers
};
std::string to_json(const QuantizePlan& plan);

/// What quantize() would write. What a text tells is measured unless `out`.work has it, and kept
/// there, where quantize() and other plans of the same recipe, whatever its size, find it.
QuantizePlan plan_quantization(const QuantizeJob& job);

struct MeasureJob {
  std::filesystem::path model = {},
                        out = {};  // `out`: a safetensors file of F32 scores, by layer name
  bool replace = false;
  std::string metric = "gradient";
  std::string grid = "uniform";          // whose rounding error the metric may ask for
  std::filesystem::path quantized = {};  // a Karat folder of the model: a metric with a path looks
                                         // back on it instead of on rounding to `grid`
  CalibrationRequest calibration = {};
  ProgressFn progress = {};
};

/// How the scores of one linear layer are spread.
struct ScoreSummary {
  std::string name;
  std::int64_t out = 0, in = 0;
  double mean = 0, max = 0;
  double top_share = 0;  // of the sum that the largest 1 % hold; 0.01 when all are equal
  double gini = 0;       // 0: all equal; 1: one weight has everything
};
/// What a metric with a path looked back on. Its scores with their signs add up to the change.
struct LookedBack {
  std::string quantized;
  double predicted = 0;  // sum of the signed scores
  double measured = 0;   // change of the loss, in double precision
  double difference() const { return measured != 0 ? predicted / measured - 1 : 0; }
};
struct MeasureReport {
  std::string model, metric;  // the metric spelled out in full
  std::optional<CalibrationSet> calibration = {};
  double loss = 0;
  std::optional<LookedBack> looked_back = {};
  std::vector<ScoreSummary> layers = {};
  std::vector<std::string> warnings = {};  // of the model's folder: Architecture::warnings
};
std::string to_json(const MeasureReport& report);
MeasureReport measure(const MeasureJob& job);

}  // namespace karat
