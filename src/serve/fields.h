// The fields of a JSON object from outside, asked for one after the other.
#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "load/json.h"
#include "serve/api_error.h"

namespace karat {

/// A call that finds a wrong type or a number out of range throws ApiError 400 with its name.
class JsonFields {
 public:
  explicit JsonFields(std::string_view body) {
    try {
      object_ = parse_json(body, "body");
    } catch (const std::exception& error) {
      throw ApiError(400, error.what());
    }
    if (!object_.is_object()) throw ApiError(400, "body: expected a JSON object");
  }
  /// The field, or null when it is absent.
  const nlohmann::json& find(const std::string& name) {
    static const nlohmann::json null;
    known_.insert(name);
    const auto found = object_.find(name);
    return found == object_.end() ? null : *found;
  }
  bool flag(const std::string& name, bool otherwise) {
    const nlohmann::json& value = find(name);
    if (value.is_null()) return otherwise;
    if (!value.is_boolean()) refuse(name, "true or false");
    return value.get<bool>();
  }
  std::int64_t whole(const std::string& name, std::int64_t otherwise, std::int64_t least,
                     std::int64_t most) {
    const nlohmann::json& value = find(name);
    if (value.is_null()) return otherwise;
    const bool fits = value.is_number_unsigned()
                          ? value.get<std::uint64_t>() <= std::uint64_t{INT64_MAX}
                          : value.is_number_integer();
    if (!fits || value.get<std::int64_t>() < least || value.get<std::int64_t>() > most)
      refuse(name, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return value.get<std::int64_t>();
  }
  double number(const std::string& name, double otherwise, double least, double most) {
    const nlohmann::json& value = find(name);
    if (value.is_null()) return otherwise;
    const double found = value.is_number() ? value.get<double>() : std::nan("");
    if (!(found >= least && found <= most))
      refuse(name, "a number from " + nlohmann::json(least).dump() + " to " +
                       nlohmann::json(most).dump());
    return found;
  }
  /// Refuses fields that nobody asked for.
  void finish() const {
    for (const auto& [name, value] : object_.items())
      if (!known_.contains(name) && !value.is_null())
        throw ApiError(400, "unknown field “" + excerpt(name) + "”", excerpt(name));
  }
  [[noreturn]] static void refuse(const std::string& name, const std::string& expected) {
    throw ApiError(400, name + ": expected " + expected, name);
  }

 private:
  nlohmann::json object_;
  std::set<std::string> known_;
};

}  // namespace karat
