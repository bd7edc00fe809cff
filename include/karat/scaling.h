// What quantization costs in size: from losses of trained models of several sizes, the share of
// their weights that a quantized model's are worth. What `karat scaling` does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace karat {

/// A model that `karat train` wrote.
struct ScalingRun {
  std::string name;            // its folder
  std::string kind;            // how it was trained: quantizer, and policy and optimizer if not the
                               // plain ones; empty: without any of them
  double size = 0;             // weights of the linear layers of the blocks: N
  double tokens = 0;           // trained on, repeats counted: D
  std::vector<double> losses;  // of each validation sequence at the end, nats per token
};
/// From training_log.json and config.json of each folder. Throws Error naming a folder that lacks
/// one, or whose loss cannot be compared with the first one's: other data or tokenizer, another
/// validation text, other lengths or numbers of sequences.
std::vector<ScalingRun> read_scaling_runs(const std::vector<std::filesystem::path>& folders);

struct ScalingOptions {
  std::optional<double> floor = {};  // e, where it is known; else it is fitted
  std::int64_t resamples = 200;      // of validation sequences, for the standard errors
  std::uint64_t seed = 1;
};

struct Estimate {
  double value = 0, error = 0;  // error: a standard error, of the validation sequences' choice
};

/// L(N, D) = a / (N · eff)^b + c / D^d + e (arXiv 2502.16440, 2502.05003 §5.3). Where runs do not
/// tell c / D^d from e, as `open` then says, L = a / (N · eff)^b + a constant of each D.
struct ScalingLaw {
  Estimate a, b;
  std::optional<std::pair<Estimate, Estimate>> data;   // c, d
  std::vector<std::pair<double, Estimate>> constants;  // (D, constant); with `data` one: (0, e)
  struct Kind {
    std::string kind;
    Estimate efficiency;  // eff, 1 without quantizer
    std::int64_t runs = 0;
  };
  std::vector<Kind> kinds;     // in the order of the runs, the unquantized first
  std::vector<double> fitted;  // L of each run
  std::vector<std::string> open;
};
/// The fit of least Huber error (δ = 1e-3) of log L from a grid of starts (Hoffmann et al. 2022).
/// Throws Error, saying which parameters need what, where runs do not determine a, b and eff: fewer
/// than three sizes (two where e is known), no run without quantizer, fewer runs than parameters.
ScalingLaw fit_scaling_law(const std::vector<ScalingRun>& runs, const ScalingOptions& options = {});

}  // namespace karat
