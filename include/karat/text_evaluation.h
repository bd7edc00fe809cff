// Everything `karat evaluate --text` does: one text under several conventions, against an original
// or its cached logits, with a look for overlap with the calibration text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "karat/evaluate.h"
#include "karat/overlap.h"
#include "karat/progress.h"

namespace karat {

struct TextJob {
  std::filesystem::path model = {}, text = {};
  std::string field = "text";  // the key of a JSON record's text
  /// Comma-separated names, or "all": those that fit. Empty: the default, or `strided` with a
  /// stride.
  std::string conventions = {};
  std::int64_t stride = 0;  // of `strided`; 0: half a window
  std::int64_t limit = 0;   // windows or documents; 0: all
  std::filesystem::path original = {};
  std::filesystem::path save_logits = {};  // file for the original's logits; the model's, without
  std::filesystem::path logits = {};       // such a file, instead of the original
  bool replace = false;                    // an existing file of logits
  bool both_activations = false;           // FP32 ones, and again 8 bits
  std::filesystem::path calibration = {};  // empty: the one that the model's report names, if found
  std::string command = {};                // as typed; the result repeats it
  ProgressFn progress = {};
};

/// A file of logits, written or read.
struct LogitFile {
  std::string file = {}, original = {}, original_sha256 = {};
  std::int64_t bytes = 0;
  double share = 0;  // of the logits in F16
  bool written = false;
};
struct TextEvaluation {
  std::string command = {}, model = {}, original = {}, text = {}, text_sha256 = {};
  std::int64_t limit = 0;
  std::string activations = {};  // "f32", "q8", "both"
  std::vector<Evaluation> evaluations = {};
  struct Skipped {
    std::string convention, reason;
  };
  std::vector<Skipped> skipped = {};  // of "all"
  std::optional<LogitFile> logits = {};
  std::optional<Overlap> overlap = {};
  std::vector<std::string> warnings = {};  // of the text and of the model's folder
};

/// Throws Error before any model runs when options contradict each other, a file of logits is not
/// of this text, convention and tokenizer, or no convention fits.
TextEvaluation evaluate_text(const TextJob& job);

/// One convention: its numbers at the top level; several: a list "evaluations".
std::string to_json(const TextEvaluation& result);
std::string to_text(const TextEvaluation& result);

}  // namespace karat
