#include "karat/overlap.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/file.h"
#include "core/hash.h"
#include "karat/error.h"
#include "karat/text_file.h"
#include "load/json.h"

namespace karat {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kBase = 0x9e3779b97f4a7c15u;  // odd: multiplying by it loses nothing

/// Calls visit(hash) for every run of 13 words. The hash of a run is Σ word · kBase^(12 − place)
/// modulo 2^64, so the next one takes one step.
template <class Visit>
void each_gram(std::string_view text, const Visit& visit) {
  std::uint64_t oldest = 1;  // kBase^13
  for (int i = 0; i < kOverlapWords; ++i) oldest *= kBase;
  std::array<std::uint64_t, kOverlapWords> words{};
  std::uint64_t gram = 0;
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::uint64_t word = 14695981039346656037u;  // FNV-1a
    const std::size_t begin = at;
    for (; at < text.size(); ++at) {
      auto c = static_cast<unsigned char>(text[at]);
      if (c >= 'A' && c <= 'Z') c = static_cast<unsigned char>(c + 32);
      if (c < 0x80 && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) break;
      word = (word ^ c) * 1099511628211u;
    }
    if (at == begin) {
      ++at;
      continue;
    }
    std::uint64_t& slot = words[count % kOverlapWords];
    gram = gram * kBase + word - slot * oldest;  // the slot holds the word 13 places back, or 0
    slot = word;
    if (++count >= kOverlapWords) visit(gram);
  }
}

}  // namespace

Overlap find_overlap(std::string_view calibration, std::string_view evaluation) {
  std::vector<std::uint64_t> grams;
  each_gram(evaluation, [&](std::uint64_t gram) { grams.push_back(gram); });
  std::sort(grams.begin(), grams.end());
  std::vector<bool> found(grams.size());
  each_gram(calibration, [&](std::uint64_t gram) {
    const auto range = std::equal_range(grams.begin(), grams.end(), gram);
    if (range.first != range.second &&
        !found[static_cast<std::size_t>(range.first - grams.begin())])
      std::fill(found.begin() + (range.first - grams.begin()),
                found.begin() + (range.second - grams.begin()), true);
  });
  return {.grams = static_cast<std::int64_t>(grams.size()),
          .hits = std::count(found.begin(), found.end(), true)};
}

Overlap find_file_overlap(const FileText& calibration, const FileText& evaluation) {
  const TextFile first = TextFile::open(calibration.file, calibration.field);
  const TextFile second = TextFile::open(evaluation.file, evaluation.field);
  Overlap overlap = find_overlap(first.text(), second.text());
  first.check();
  second.check();
  overlap.calibration = calibration.file.string();
  return overlap;
}

std::optional<FileText> reported_calibration(const fs::path& model, const fs::path& evaluation) {
  const fs::path report = model / "karat_report.json";
  if (!fs::exists(report)) return {};
  const nlohmann::json json = parse_json(read_text(report), report.string());
  if (!json.is_object() || !json.contains("calibration")) return {};
  const nlohmann::json& calibration = json["calibration"];
  const auto text = [&](const char* key) {
    return calibration.is_object() && calibration.contains(key) && calibration[key].is_string()
               ? calibration[key].get<std::string>()
               : std::string();
  };
  const fs::path name = fs::path(text("file")).filename();
  if (name.empty()) return {};
  const std::string field = text("field");
  for (const fs::path& folder : {fs::path("."), evaluation.parent_path(),
                                 fs::absolute(model / "").parent_path().parent_path()}) {
    std::error_code ignored;
    const fs::path file = folder / name;
    if (fs::is_regular_file(file, ignored) && sha256_file(file) == text("sha256"))
      return FileText{file, field.empty() ? "text" : field};
  }
  return {};
}

std::string overlap_warning(const Overlap& overlap) {
  if (overlap.hits == 0) return {};
  return fmt::format(
      "{:.3g} % of the text's runs of {} words ({} of {}) stand in the calibration text {}: "
      "the numbers flatter the model",
      100 * overlap.share(), kOverlapWords, overlap.hits, overlap.grams, overlap.calibration);
}

}  // namespace karat
