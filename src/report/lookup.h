// Reading JSON of other versions: what is missing or of another type counts as absent.
#pragma once

#include <cmath>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace karat::report {

using Path = std::initializer_list<const char*>;

/// nullptr where there is nothing, or null.
inline const nlohmann::json* look(const nlohmann::json& json, Path path) {
  const nlohmann::json* at = &json;
  for (const char* key : path) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(key);
    if (found == at->end() || found->is_null()) return nullptr;
    at = &*found;
  }
  return at;
}
inline std::optional<double> number(const nlohmann::json& json, Path path) {
  const nlohmann::json* found = look(json, path);
  if (found == nullptr || !found->is_number() || !std::isfinite(found->get<double>())) return {};
  return found->get<double>();
}
inline std::string text(const nlohmann::json& json, Path path) {
  const nlohmann::json* found = look(json, path);
  return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
}
/// The elements of an array that are objects.
inline std::vector<const nlohmann::json*> objects(const nlohmann::json& json, Path path) {
  std::vector<const nlohmann::json*> all;
  const nlohmann::json* found = look(json, path);
  if (found == nullptr || !found->is_array()) return all;
  for (const nlohmann::json& element : *found)
    if (element.is_object()) all.push_back(&element);
  return all;
}

}  // namespace karat::report
