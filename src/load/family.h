// How a family file reads config.json. A family is one file src/load/family/<model_type>.cpp that
// defines `Architecture <model_type>_family(const ConfigReader&)`; CMake finds it by its name.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "karat/architecture.h"

namespace karat {

/// Checked access to config.json: every value is typed, bounded, and named when it is wrong.
class ConfigReader {
 public:
  ConfigReader(nlohmann::json config, std::string path);

  std::int64_t count(const std::string& key) const;  // required, 1 … 2^31
  std::int64_t count_or(const std::string& key, std::int64_t fallback) const;  // absent or null
  double number_or(const std::string& key, double fallback) const;
  bool flag_or(const std::string& key, bool fallback) const;
  std::string text_or(const std::string& key, const std::string& fallback) const;
  const nlohmann::json& json() const { return config_; }
  [[noreturn]] void reject(const std::string& key, const std::string& expected) const;

 private:
  nlohmann::json config_;
  std::string path_;
};

using FamilyFn = Architecture (*)(const ConfigReader&);
const std::map<std::string, FamilyFn>& family_table();  // written by cmake/registry.cmake

}  // namespace karat
