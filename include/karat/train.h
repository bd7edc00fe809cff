// Pretraining a decoder from its config.json and text files: what `karat train` does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "karat/options.h"
#include "karat/progress.h"
#include "karat/tensor_view.h"

namespace karat {

/// What every optimizer is told, all being kinds of AdamW (Loshchilov & Hutter 2019), under linear
/// warm-up and a cosine.
struct OptimizerOptions {
  double lr = 1e-3;                              // at the end of the warm-up
  double final_lr = 0.1;                         // share of `lr` left at the last step
  std::int64_t warmup = 100;                     // steps
  double weight_decay = 0.1;                     // decoupled; on matrices only
  std::optional<double> beta1 = {}, beta2 = {};  // of the moments; none: the optimizer's own
  double epsilon = 1e-8;
  double clip = 1.0;  // largest global gradient norm; 0: no clipping
};

struct TrainOptions {
  std::filesystem::path config;                   // a config.json, or the folder it lies in
  std::filesystem::path tokenizer;                // folder
  std::vector<std::filesystem::path> data;        // text files: karat/text_file.h
  std::vector<std::filesystem::path> validation;  // the same; empty: no validation
  std::string field = "text";                     // the key of a JSON record's text
  std::filesystem::path out;                      // Hugging Face folder to write
  std::filesystem::path work;  // checkpoint and token cache; empty: `out`.work, removed at the end
  bool replace = false;        // an existing `out`, or an unfinished run in `work`
  bool resume = false;         // go on from the checkpoint in `work`

  std::int64_t steps = 1000;
  std::int64_t batch = 8;        // sequences per step
  std::int64_t micro_batch = 2;  // sequences per graph; decides the bits of the sum, not threads
  std::int64_t sequence = 0;     // tokens; 0: the model's max_positions
  OptimizerOptions optimizer;
  /// What the optimizer keeps from step to step, and in how many bits, of training_optimizers(),
  /// "solo:second=2"; empty: adamw, float32 throughout.
  std::string optimizer_name;
  /// Through which quantizer of training_quantizers() the linear layers of the blocks see their
  /// weights and inputs, "quest:weights=4,activations=4"; empty: none. Embedding and head see none.
  std::string quantize;
  /// Which gradients a step takes, of training_policies(), "sagm:rho=0.05"; empty: the batch's own.
  std::string policy;
  std::uint64_t seed = 1;
  std::int64_t log_every = 20;             // steps per point of the curve
  std::int64_t validate_every = 250;       // steps
  std::int64_t validation_sequences = 64;  // at most
  std::int64_t checkpoint_every = 250;     // steps; 0: only when interrupted
  DType dtype = DType::bf16;               // of the saved weights: f32, f16 or bf16
  bool cuda = false;
};

/// One point of the training curve. Losses are nats per token.
struct TrainPoint {
  std::int64_t step = 0;
  double loss = 0;  // mean over the steps since the point before
  std::optional<double> validation;
  double lr = 0, gradient_norm = 0;  // at this step, before clipping
  double seconds = 0;                // since the run began, all resumed parts together
};

struct TrainResult {
  std::vector<TrainPoint> curve;
  std::int64_t parameters = 0;
  std::int64_t tokens = 0;  // trained on, repeats counted
  double seconds = 0, cpu_seconds = 0;
  std::vector<double> validation_losses = {};  // of each sequence, at the end
  /// Where inputs were quantized, at the end: cosine between the gradients that enter each block
  /// with quantized inputs and without, on the first validation sequences.
  std::vector<double> gradient_alignment = {};
  /// What a step hands on to the next, as checkpoints hold it: the optimizer's state, and the
  /// weights that are not part of it.
  std::int64_t state_bytes = 0, weight_bytes = 0;
  std::vector<std::string> warnings = {};  // of the config: Architecture::warnings
};

/// Trains and writes `out`. The weights depend on the options and the data alone: not on the number
/// of threads, nor on whether the run was interrupted and resumed. When `listener` asks to stop, a
/// checkpoint is written and Interrupted thrown. Throws Error on bad input, on a loss that is not
/// finite (naming the step), and when `resume` meets other settings, config or data.
TrainResult train(const TrainOptions& options, const ProgressFn& listener = {});

/// What TrainOptions::quantize, ::policy or ::optimizer_name may name, and its options with their
/// defaults.
struct TrainingChoice {
  std::string name, summary;
  std::vector<OptionEntry> options;
};
std::vector<TrainingChoice> training_quantizers();
std::vector<TrainingChoice> training_policies();
std::vector<TrainingChoice> training_optimizers();

/// A model that training through a quantizer wrote, to be stored as it was trained.
struct PackJob {
  std::filesystem::path model = {}, out = {};
  bool replace = false;  // a former output in `out`
};
struct PackReport {
  std::string quantizer;  // "quest:weights=4,activations=4,…"
  std::string stored;     // a layer's layout in words
  std::int64_t layers = 0;
  double layer_bits = 0;  // per weight of the linear layers, of all stored parts
  std::int64_t file_bytes = 0;
  std::vector<std::string> warnings = {};
};
/// Writes the Karat folder `out`, whose linear layers are packed, and multiplied, as the quantizer
/// of `model` made and multiplied them in training; there is nothing to calibrate or to choose.
/// Throws Error on a folder without quantizer.json, and on what the format cannot store.
PackReport pack_trained(const PackJob& job);

/// Learning rate of step 0 … steps−1.
double learning_rate(const OptimizerOptions& options, std::int64_t step, std::int64_t steps);

}  // namespace karat
