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

/// A text file (karat/text_file.h), and the key of its texts if it holds JSON records.
struct FileText {
  std::filesystem::path file;
  std::string field = "text";
};
/// The same of files. Throws Error on one that is no text.
Overlap find_file_overlap(const FileText& calibration, const FileText& evaluation);

/// The calibration text that the karat_report.json of a model's folder names, if it lies in the
/// working folder, beside `evaluation` or beside the model, and its SHA-256 is that of the report.
std::optional<FileText> reported_calibration(const std::filesystem::path& model,
                                             const std::filesystem::path& evaluation);

/// "12.3 % of …"; empty without a hit.
std::string overlap_warning(const Overlap& overlap);

}  // namespace karat
