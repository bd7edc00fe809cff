// Calibration: text becomes token sequences, and a sweep over the blocks turns them into statistics
// of every linear layer. The sweep serves a union of needs and never learns which method asked.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "karat/architecture.h"
#include "karat/graph.h"
#include "karat/needs.h"
#include "karat/progress.h"
#include "karat/safetensors.h"
#include "karat/tokenizer.h"
#include "karat/torch.h"

namespace karat {

struct CalibrationOptions {
  std::int64_t samples = 1;    // sequences
  std::int64_t length = 2048;  // tokens of each, BOS included
  std::uint64_t seed = 0;
  std::string field = "text";  // the key of a JSON record's text
};

/// Token sequences and where they came from, as reports record it.
struct CalibrationSet {
  torch::Tensor ids;  // [samples, length] int64
  std::string file;   // its name, without folders
  std::string sha256;
  bool records = false;          // the file holds JSON records, not plain text
  std::int64_t text_tokens = 0;  // that the sequences were cut from
  CalibrationOptions options;
};

/// Sequences of a text file (karat/text_file.h): plain text, or JSON records, whose texts are
/// joined by blank lines. The text is cut into windows of `length` tokens that do not overlap (one
/// less when the tokenizer puts a BOS in front, which each sequence then starts with); the seed
/// draws `samples` of them. Of a text beyond 16 MiB (or 16 bytes a wanted token, if more) only one
/// stretch of that size is read, from a place the seed chooses. Throws Error on a missing,
/// malformed, empty or too short text.
CalibrationSet read_calibration(const std::filesystem::path& file, const Tokenizer& tokenizer,
                                const CalibrationOptions& options);

/// What a sweep gathers for one linear layer, F32 on the sweep's device; undefined unless needed.
/// L is the mean next-token cross-entropy of one sequence, X [tokens, in] the layer's inputs in
/// all.
struct LinearStats {
  torch::Tensor gradient;      // [out, in]  mean over sequences of ∂L/∂W
  torch::Tensor fisher;        // [out, in]  mean over sequences of (∂L/∂W)²
  torch::Tensor hessian;       // [in, in]   2 XᵀX / tokens; shared by layers with the same input
  torch::Tensor input_abs;     // [in]       mean |X|; shared likewise
  torch::Tensor input_square;  // [in]       mean X²; shared likewise
  torch::Tensor token_weights;  // [tokens]  mean over outputs of (∂L/∂y)², sequence after sequence
  /// The Fisher information of a token, H, is nearly output_factor ⊗ input_factor, [out, out] and
  /// [in, in], symmetric. Their traces are 1 and that of H, in nats. Labels are the model's own.
  torch::Tensor input_factor, output_factor;
  torch::Tensor guided;  // [in, in]  2 Xᵀ diag(token weights) X / Σ token weights (GuidedQuant)
  /// Of an expert that fewer tokens visited than the layer has inputs: how many. Its statistics of
  /// inputs are then pooled with those of the other experts (src/calibrate/expert_stats.h).
  std::optional<std::int64_t> few_tokens;
};

/// One block as the sweep comes by.
struct BlockVisit {
  std::size_t index;
  Weights& weights;  // F32; may be changed (see SweepOptions::propagate)
  const std::map<std::string, LinearStats> stats;  // by Linear::name; empty without needs
  /// Where blocks are needed, each sequence's [1, time, hidden]: what this block reads (see
  /// SweepOptions::propagate), and what the original one writes in the original model.
  const std::vector<torch::Tensor> inputs = {}, outputs = {};

  /// What was gathered for a layer. May be called from many threads at once.
  LinearStats stats_of(const std::string& linear) const {
    const auto found = stats.find(linear);
    return found == stats.end() ? LinearStats{} : found->second;
  }
};
using BlockVisitor = std::function<void(BlockVisit& visit)>;

struct SweepOptions {
  Needs needs = {};
  torch::Device device = torch::kCPU;
  /// Later blocks see what the visited one computes with the weights the visitor left (GPTQ's
  /// order). Only without gradients; costs one more forward pass.
  bool propagate = false;
  std::size_t first = 0;  // earlier blocks are run, not visited; only without gradients
  /// Changes a block's weights whenever it is loaded; as one more block, embedding and positions.
  std::function<void(std::size_t block, Weights& weights)> edit = {};
  /// Of what the last block writes for a sequence, [1, time, hidden], in the place of the mean loss
  /// of its next tokens; with gradients, `output` becomes the gradient in it. Without any need, a
  /// sweep with a loss is one forward pass.
  std::function<double(std::int64_t sequence, torch::Tensor& output)> loss = {};
  /// Of a layer, by name: what a sweep with gradients found on the same sequences.
  std::function<torch::Tensor(const std::string& linear)> token_weights = {};
  ProgressFn progress = {};
  /// Where the activations of blocks go when they take more than `resident` bytes (0: half of the
  /// memory that is free). Empty: they have to fit.
  std::filesystem::path scratch = {};
  double resident = 0;
};

/// Fisher information of the rows of embedding and head: mean over sequences of Σ (∂L/∂W)² over a
/// row, [vocab] F32. Of tied ones, which are one matrix, its gradient is the sum of both.
struct EndsFisher {
  torch::Tensor embedding, head;
  torch::Tensor tied;  // defined where they are
};

struct SweepResult {
  double loss = 0;  // mean over sequences of L, when gradients or a loss were asked for
  EndsFisher ends = {};
  double seconds = 0;
};

/// Visits every block once. With gradients: forward keeping each block's input alone, then from the
/// last block to the first: recompute, differentiate, visit, drop. Without: first to last. Without
/// any need the set may be empty and blocks are only loaded and visited, first to last.
/// Throws Error on NaN or Inf in weights or loss (naming tensor or block), statistics that a
/// mixture of experts does not have (of every token: weights, guided, factors), ids beyond the
/// vocabulary, sequences beyond max_positions, and before taking memory that is not there.
SweepResult sweep(const Architecture& arch, const Safetensors& weights, const CalibrationSet& set,
                  const SweepOptions& options, const BlockVisitor& visitor);

}  // namespace karat
