// Whether a text that a model is evaluated on stood in the text that it was calibrated with.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace karat {

/// Runs of 13 words, as GPT-3's authors looked for (Brown et al. 2020, appendix C). Words are runs
/// of letters and digits in lower case (ASCII; other characters as they are); the rest parts them.
constexpr int kOverlapWords = 13;
struct Overlap {
  std::string calibration = {};      // the file
  std::int64_t grams = 0, hits = 0;  // of the evaluation text; hits: also in the calibration text
  double share() const {
    return grams == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(grams);
  }
};
Overlap find_overlap(std::string_view calibration, std::string_view evaluation);

/// The same of files; of a .jsonl file, the texts under "text" are read.
Overlap find_file_overlap(const std::filesystem::path& calibration,
                          const std::filesystem::path& evaluation);

/// The calibration text that the karat_report.json of a model's folder names, if it lies in the
/// working folder, beside `evaluation` or beside the model, and its SHA-256 is that of the report.
std::optional<std::filesystem::path> reported_calibration(const std::filesystem::path& model,
                                                          const std::filesystem::path& evaluation);

/// "12.3 % of …"; empty without a hit.
std::string overlap_warning(const Overlap& overlap);

}  // namespace karat
