// One model quantized in several ways, each measured on the same text: size, loss, time, memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karat/evaluate.h"
#include "karat/quantize.h"

namespace karat {

/// One way of quantizing.
struct CompareRecipe {
  std::string label = {};  // what tables call it
  std::string method = "karat";
  Overrides overrides = {};
};
/// Reads "mine=gwq --grid uniform:bits=3 --solver gptq": a label, a method (karat when left out)
/// and flags as `karat quantize` takes them. Throws Error on anything else.
CompareRecipe parse_recipe(std::string_view text);

/// What holds for every recipe that knows such an option and does not say its own.
struct CompareDefaults {
  std::vector<std::string> bits = {};  // each recipe at each; empty: as it is
  std::string group = {}, ratio = {};
};
std::vector<CompareRecipe> with_defaults(const std::vector<CompareRecipe>& recipes,
                                         const CompareDefaults& defaults);

struct CompareJob {
  std::filesystem::path model = {}, text = {};
  std::vector<CompareRecipe> recipes = {};
  CalibrationRequest calibration = {};  // without its seed
  std::int64_t seeds = 1;               // 1 … seeds, of recipes that read the calibration text
  std::string convention = {};          // empty: the default of evaluating
  std::int64_t limit = 0;               // windows of the text; 0: all
  /// Each grid's group (or, without one, how many weights are kept) is chosen so that the bits per
  /// weight come closest to a target from below: `target_bits`, or the most that a recipe takes.
  bool equal_bits = false;
  std::optional<double> target_bits = {};
  std::filesystem::path work = {};  // parent of temporary folders; empty: the system's
  std::filesystem::path html = {},
                        report = {};  // files to write: to_html(), to_json(); empty: none
  bool replace = false;               // what compare wrote there before is replaced
  std::function<void(std::int64_t row, std::int64_t rows, const std::string& name)> announce = {};
  ProgressFn progress = {};
};

/// One recipe under one seed.
struct CompareRun {
  std::optional<std::int64_t> seed = {};  // nothing: the recipe reads no text
  double bits = 0;                        // per weight of the linear layers, counted in the file
  double file_bits = 0;                   // per parameter of the whole model
  std::int64_t file_bytes = 0;            // of all *.safetensors
  Evaluation evaluation = {};
  double seconds = 0;                           // of quantizing
  std::optional<std::int64_t> peak_bytes = {};  // resident while quantizing; nothing: unknown
};
/// Over seeds. The deviation (of a sample) is left out where there is one run.
struct Spread {
  double mean = 0;
  std::optional<double> deviation = {};
};

struct CompareRow {
  /// `uniform`: plain rounding, added because another row has its size.
  enum class Kind { original, method, uniform } kind = Kind::method;
  std::string name = {};                                  // "gwq 3 bits"
  std::int64_t code_bits = 0;                             // bits of a code
  Recipe recipe = {};                                     // spelled out in full
  std::optional<std::int64_t> samples = {}, length = {};  // of the calibration
  double predicted_bits = 0;  // per weight, before the work; with a size that of its parameters
  std::string uniform = {};   // name of the row of plain rounding that is as large; empty: this one
  std::optional<double> vs_uniform = {};  // KL of this row / KL of that one
  std::string note = {};
  std::vector<CompareRun> runs = {};

  Spread over_seeds(const std::function<double(const CompareRun&)>& value) const;
  std::int64_t file_bytes() const;  // of all *.safetensors; mean over seeds
  double file_bits() const;         // likewise, per parameter of the whole model
  Spread bits() const;
  Spread perplexity() const;
  Spread kl() const;  // 0 for the original
  Spread seconds() const;
  double perplexity_error() const;           // standard error over tokens, mean over seeds
  double kl_error() const;                   // likewise
  std::optional<std::int64_t> peak() const;  // the largest
};

struct CompareReport {
  std::string model = {};  // its folder's name
  std::string text = {}, text_sha256 = {};
  std::string calibration = {}, calibration_sha256 = {};  // empty: no recipe reads one
  std::string convention = {};
  std::int64_t windows = 0, tokens = 0;
  bool bos = false;
  std::int64_t seeds = 1;
  std::optional<double> target_bits = {};  // with equal bits
  std::string cpu = {}, isa = {};
  int cores = 0, threads = 0;
  std::string date = {};  // UTC, ISO 8601
  /// The original; then the others by bits of a code (unless bits are equal), and by KL within.
  std::vector<CompareRow> rows = {};
  std::vector<std::string> warnings = {};  // of the text and of the model's folder
};
/// Recipes are understood and texts read before anything is quantized; temporary folders are gone
/// when this returns or throws. The original is opened for measuring alone, so that a row's peak
/// memory is that of its quantization.
CompareReport compare(const CompareJob& job);

std::string to_json(const CompareReport& report);
std::string to_table(const CompareReport& report);  // for a terminal
/// One page that needs no other file: table, plot of loss over size, recipes.
std::string to_html(const CompareReport& report);

}  // namespace karat
