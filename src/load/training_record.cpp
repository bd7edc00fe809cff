#include "load/training_record.h"

#include <nlohmann/json.hpp>

#include "core/file.h"

namespace karat {

std::string trained_quantizer(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / kQuantizerRecord;
  if (!std::filesystem::is_regular_file(file)) return "";
  const auto record = nlohmann::json::parse(read_text(file), nullptr, /*allow_exceptions=*/false);
  if (!record.is_object()) return "";
  const auto quantizer = record.find("quantizer");
  const bool says = quantizer != record.end() && quantizer->is_string();
  return says ? quantizer->get<std::string>() : "";
}

}  // namespace karat
