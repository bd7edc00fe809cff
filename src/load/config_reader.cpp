#include <fmt/format.h>

#include <cmath>

#include "karat/error.h"
#include "load/family.h"
#include "load/json.h"

namespace karat {
namespace {

constexpr std::int64_t kMaxCount = std::int64_t{1} << 31;
constexpr std::int64_t kMaxLayers = 4096;  // a lying count must not cost memory

/// A JSON integer; nothing when it is another type or beyond 64 bits.
std::optional<std::int64_t> integer(const nlohmann::json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) return std::nullopt;
  return value.get<std::int64_t>();
}

/// Adds the members of `object` that are not among `asked`; goes into those that were opened.
void add_unread(const nlohmann::json& object, const std::string& place,
                const std::set<std::string>& asked, std::map<std::string, nlohmann::json>& found) {
  for (const auto& [key, value] : object.items()) {
    const std::string name = place + key;
    if (!asked.contains(name))
      found.emplace(name, value);
    else if (value.is_object() && asked.contains(name + "."))
      add_unread(value, name + ".", asked, found);
  }
}

}  // namespace

ConfigReader::ConfigReader(nlohmann::json config, std::string path)
    : config_(std::move(config)),
      path_(std::move(path)),
      asked_(std::make_shared<std::set<std::string>>()) {
  if (!config_.is_object())
    fail("read " + path_, "JSON that is not an object", "the configuration of a model");
}

ConfigReader ConfigReader::nested(const std::string& key, nlohmann::json value) const {
  ConfigReader reader(std::move(value), path_);
  reader.place_ = place_ + key + ".";
  reader.asked_ = asked_;
  asked_->insert({place_ + key, reader.place_});
  return reader;
}

ConfigReader ConfigReader::object(const std::string& key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr || !value->is_object()) reject(key, "an object");
  return nested(key, *value);
}

void ConfigReader::harmless(std::initializer_list<const char*> keys) const {
  for (const char* key : keys) asked_->insert(place_ + key);
}

bool ConfigReader::has(const std::string& key) const {
  asked_->insert(place_ + key);
  return config_.contains(key);
}

std::map<std::string, nlohmann::json> ConfigReader::unread() const {
  std::map<std::string, nlohmann::json> found;
  add_unread(config_, place_, *asked_, found);
  return found;
}

const nlohmann::json* ConfigReader::find(const std::string& key) const {
  asked_->insert(place_ + key);
  const auto at = config_.find(key);
  return at == config_.end() || at->is_null() ? nullptr : &*at;
}

void ConfigReader::reject(const std::string& key, const std::string& expected) const {
  const auto at = config_.find(key);
  const std::string got = at == config_.end()
                              ? "no " + key
                              : key + " " + excerpt(at->dump(-1, ' ', /*ensure_ascii=*/true));
  fail("read " + path_, got, expected);
}

std::int64_t ConfigReader::integer_or(const std::string& key, std::int64_t fallback,
                                      std::int64_t least, std::int64_t most) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  const auto number = integer(*value);
  if (!number || *number < least || *number > most)
    reject(key, fmt::format("a whole number from {} to {}", least, most));
  return *number;
}

std::int64_t ConfigReader::count(const std::string& key) const {
  if (find(key) == nullptr) reject(key, key + ", a whole number from 1");
  return integer_or(key, 0, 1, kMaxCount);
}

std::int64_t ConfigReader::count_or(const std::string& key, std::int64_t fallback) const {
  return integer_or(key, fallback, 1, kMaxCount);
}

std::int64_t ConfigReader::layers(const std::string& key) const {
  if (find(key) == nullptr) reject(key, key + ", a whole number from 1");
  return integer_or(key, 0, 1, kMaxLayers);
}

double ConfigReader::number_or(const std::string& key, double fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_number() || !std::isfinite(value->get<double>())) reject(key, "a finite number");
  return value->get<double>();
}

double ConfigReader::positive_or(const std::string& key, double fallback) const {
  const double value = number_or(key, fallback);
  if (!(value > 0)) reject(key, "a number above 0");
  return value;
}

bool ConfigReader::flag_or(const std::string& key, bool fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) reject(key, "true or false");
  return value->get<bool>();
}

std::string ConfigReader::text_or(const std::string& key, const std::string& fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) reject(key, "a string");
  return value->get<std::string>();
}

std::vector<std::int32_t> ConfigReader::token_ids(const std::string& key, std::int32_t fallback,
                                                  std::int64_t vocab) const {
  asked_->insert(place_ + key);
  const auto at = config_.find(key);
  nlohmann::json list = at == config_.end() ? nlohmann::json(fallback) : *at;
  if (list.is_null()) return {};
  if (!list.is_array()) list = nlohmann::json::array({list});
  std::vector<std::int32_t> ids;
  for (const auto& value : list) {
    const auto id = integer(value);
    if (!id) reject(key, "a token id or a list of them");
    if (*id >= 0 && *id < vocab) ids.push_back(static_cast<std::int32_t>(*id));
  }
  return ids;
}

Activation ConfigReader::activation_or(const std::string& key, const std::string& fallback) const {
  static const std::map<std::string, Activation> kNames = {
      {"silu", Activation::silu},           {"swish", Activation::silu},
      {"gelu", Activation::gelu},           {"gelu_python", Activation::gelu},
      {"gelu_new", Activation::gelu_tanh},  {"gelu_pytorch_tanh", Activation::gelu_tanh},
      {"gelu_fast", Activation::gelu_tanh}, {"relu", Activation::relu},
      {"relu2", Activation::relu2}};
  const auto at = kNames.find(text_or(key, fallback));
  if (at == kNames.end()) reject(key, "silu, gelu, gelu_new, gelu_pytorch_tanh, relu or relu2");
  return at->second;
}

void ConfigReader::only(const std::string& key, bool value) const {
  if (flag_or(key, value) != value)
    reject(key, fmt::format("{}: Karat does not compute the other variant", value));
}

}  // namespace karat
