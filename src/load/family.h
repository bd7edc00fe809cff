// How a family file reads config.json. A family is one file src/load/family/<model_type>.cpp that
// defines `Architecture <model_type>_family(const ConfigReader&)`; CMake finds it by its name.
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "karat/architecture.h"

namespace karat {

/// Checked access to config.json: every value is typed, bounded, and named when it is wrong. Null
/// counts as absent. It remembers which keys it was asked for, by any of its functions but json(),
/// so that what nobody reads is known in the end.
class ConfigReader {
 public:
  ConfigReader(nlohmann::json config, std::string path);

  /// A reader of the object under `key`; what it is asked for counts as read there. Throws when
  /// there is something else.
  ConfigReader object(const std::string& key) const;
  /// The same, with `value` in the place of what stands there.
  ConfigReader nested(const std::string& key, nlohmann::json value) const;

  std::int64_t count(const std::string& key) const;  // required, 1 … 2^31
  std::int64_t count_or(const std::string& key, std::int64_t fallback) const;  // absent or null
  std::int64_t layers(const std::string& key) const;  // required, 1 … 4096
  std::int64_t integer_or(const std::string& key, std::int64_t fallback, std::int64_t least,
                          std::int64_t most) const;
  double number_or(const std::string& key, double fallback) const;  // finite
  double positive_or(const std::string& key, double fallback) const;
  bool flag_or(const std::string& key, bool fallback) const;
  std::string text_or(const std::string& key, const std::string& fallback) const;
  /// The ids under `key`, an integer or a list, that are in a vocabulary of `vocab`; configs left
  /// at their class's default name ids the model does not have, and those can never occur.
  std::vector<std::int32_t> token_ids(const std::string& key, std::int32_t fallback,
                                      std::int64_t vocab) const;
  Activation activation_or(const std::string& key, const std::string& fallback) const;
  /// Throws when `key` is there and not `value`: a variant that Karat does not compute.
  void only(const std::string& key, bool value) const;
  /// Declares keys that change nothing of what Karat computes.
  void harmless(std::initializer_list<const char*> keys) const;

  bool has(const std::string& key) const;                                    // even null
  bool holds(const std::string& key) const { return find(key) != nullptr; }  // not null
  const nlohmann::json& json() const { return config_; }
  const std::string& path() const { return path_; }
  [[noreturn]] void reject(const std::string& key, const std::string& expected) const;
  /// Keys that nobody asked for and their values; those of nested objects as "rope_scaling.type".
  std::map<std::string, nlohmann::json> unread() const;

 private:
  const nlohmann::json* find(const std::string& key) const;  // nullptr: absent or null
  nlohmann::json config_;
  std::string path_;
  std::string place_;                             // of a nested object: "rope_scaling."
  std::shared_ptr<std::set<std::string>> asked_;  // keys with their places; opened objects' too
};

/// What `config` says and nobody read: throws on a key that is known to change what is computed,
/// returns a warning that names the keys nobody knows.
std::vector<std::string> check_keys(const ConfigReader& config, const Architecture& arch);

/// What a family takes for granted of a rotary embedding, and which one it asks for.
struct RopeQuestion {
  double theta = 10000;                  // where config.json is silent
  double partial = 0;                    // likewise, of a head; 0: whole heads, and no other value
  bool interleaved = false;              // of Rope
  bool alpha = false;                    // "dynamic" with an alpha has that once and for all
  const char* layers = nullptr;          // rope_parameters may have a set for these layer_types
  const char* theta_key = "rope_theta";  // where it has none
  bool scaled = true;                    // a scaling for all layers is for these too
};

/// From either generation of config.json: rope_parameters, or rope_theta with rope_scaling. Types:
/// default, linear, llama3, yarn; longrope ("su") within the old context, which the result names;
/// dynamic, which differs beyond max_positions alone; mrope, which differs for images alone. Throws
/// on any other.
Rope read_rope(const ConfigReader& config, std::int64_t head_dim, std::int64_t max_positions,
               const RopeQuestion& ask = {});

/// The windows of all blocks: `window` positions where layer_types says sliding_attention or, when
/// it is not there, where `slides` says so; 0 for none.
void set_windows(const ConfigReader& config, Architecture& arch, std::int64_t window,
                 const std::function<bool(std::size_t block)>& slides);

/// read_architecture on the text of a config.json.
Architecture parse_architecture(std::string_view text, const std::string& path);

using FamilyFn = Architecture (*)(const ConfigReader&);
const std::map<std::string, FamilyFn>& family_table();  // written by cmake/registry.cmake

}  // namespace karat
