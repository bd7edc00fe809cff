#include "pipeline/former.h"

#include <nlohmann/json.hpp>
#include <set>

#include "core/file.h"
#include "core/output.h"
#include "karat/error.h"
#include "karat/packed.h"
#include "karat/safetensors.h"
#include "karat/tokenizer.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

/// The names that the report lists. Reports of former versions list none: those always written.
std::set<std::string> names_written(const fs::path& folder) {
  const auto report = nlohmann::json::parse(read_text(folder / "karat_report.json"));
  std::set<std::string> names = {"karat_report.json"};
  for (const auto& name : report.value("files", nlohmann::json::array()))
    names.insert(name.get<std::string>());
  if (report.contains("files")) return names;
  names.insert({"config.json", "model.safetensors.index.json"});
  for (const fs::path& file : Tokenizer::files(folder)) names.insert(file.filename().string());
  for (const fs::path& file : Safetensors::files_of(folder)) names.insert(file.filename().string());
  return names;
}

}  // namespace

std::string not_quantized(const fs::path& folder) try {
  if (!parse_quantization(read_text(folder / "config.json"))) return "no model quantized by Karat";
  const std::set<std::string> names = names_written(folder);
  const std::string stranger =
      stranger_in(folder, [&](const std::string& name) { return names.contains(name); });
  return stranger.empty() ? "" : "it holds " + stranger + ", which quantize did not write";
} catch (const std::exception&) {  // a file is missing or unreadable
  return "no model quantized by Karat";
}

std::string not_scores(const fs::path& file) try {
  return Safetensors::open(file).metadata().contains("metric") ? "" : "no scores in it";
} catch (const Error&) {
  return "no scores in it";
}

}  // namespace karat
