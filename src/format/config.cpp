// The quantization_config of a Karat folder, as docs/format.md specifies it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "format/parts.h"
#include "karat/error.h"

namespace karat {
namespace {

using Json = nlohmann::json;
using Ordered = nlohmann::ordered_json;

constexpr std::string_view kFormat = "karat-packed";
const std::string kWhere = "read quantization_config";

/// The version that a layout needs, and for what.
Since since(const PackedLayout& layout) {
  Since found = find_codec(kWhere, layout.format).since(layout);
  if (layout.input_scales && found.version < 2) found = {2, " with input scales"};
  if (layout.rotation && found.version < 3) found = {3, " with a rotation"};
  return found;
}

const Json& field(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  if (found == object.end()) fail(kWhere, fmt::format("no \"{}\"", key), "one");
  return *found;
}

/// A short word for a value; containers are not dumped, for dumping recurses as deep as they nest.
std::string brief(const Json& value) {
  if (value.is_structured()) return fmt::format("an {}", value.type_name());
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

std::int64_t integer(const Json& object, std::string_view key) {
  const Json& value = field(object, key);
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() && value.get<std::uint64_t>() >> 31))
    fail(fmt::format("{}, \"{}\"", kWhere, key), brief(value), "an integer below 2^31");
  return value.get<std::int64_t>();
}

bool boolean(const Json& object, std::string_view key) {
  const Json& value = field(object, key);
  if (!value.is_boolean())
    fail(fmt::format("{}, \"{}\"", kWhere, key), brief(value), "true or false");
  return value.get<bool>();
}

std::string text(const Json& object, std::string_view key) {
  const Json& value = field(object, key);
  if (!value.is_string()) fail(fmt::format("{}, \"{}\"", kWhere, key), brief(value), "a string");
  return value.get<std::string>();
}

void expect_text(const Json& object, std::string_view key, std::string_view wanted,
                 std::string_view hint) {
  if (const std::string got = text(object, key); got != wanted)
    fail(fmt::format("{}, \"{}\"", kWhere, key), brief(got), fmt::format("\"{}\"", wanted), hint);
}

/// The value of a key, of the type that `like` has.
KeyValue read_value(const Json& object, std::string_view key, const KeyValue& like) {
  if (std::holds_alternative<bool>(like)) return boolean(object, key);
  if (std::holds_alternative<std::int64_t>(like)) return integer(object, key);
  return text(object, key);
}

void refuse_unknown_keys(const Json& object, const Codec& codec) {
  std::vector<std::string_view> required = {"grid"};
  const auto known = [&](std::string_view name) {
    return name == "grid" || name == "layers" ||
           std::ranges::find(codec.keys, name, &Key::name) != codec.keys.end();
  };
  for (const Key& key : codec.keys)
    if (key.required) required.push_back(key.name);
  required.push_back("layers");
  for (const auto& [name, value] : object.items())
    if (!known(name))
      fail(kWhere, fmt::format("\"{}\" in a layout of grid {}", name, codec.name),
           fmt::format("the keys {}", fmt::join(required, ", ")), kUpgrade);
}

void check_version(const PackedLayout& layout, std::int64_t version) {
  const Since needed = since(layout);
  if (version >= needed.version) return;
  fail(kWhere, fmt::format("grid {}{} in format version {}", layout.format, needed.what, version),
       fmt::format("version {}", needed.version));
}

PackedLayout read_layout(const Json& object, std::int64_t version) {
  if (!object.is_object()) fail(kWhere, brief(object), "an object in \"layouts\"");
  const std::string grid = text(object, "grid");
  const Codec& codec = find_codec(kWhere + ", \"grid\"", grid);
  refuse_unknown_keys(object, codec);
  PackedLayout layout{.format = grid, .group = 0};
  for (const Key& key : codec.keys)
    if (key.required || object.contains(key.name))
      key.set(layout, read_value(object, key.name, key.get(layout)));
  check_version(layout, version);
  check_layout(kWhere, layout);
  return layout;
}

void read_layers(const Json& object, std::int64_t version, QuantizationConfig& config) {
  const PackedLayout layout = read_layout(object, version);
  const Json& layers = field(object, "layers");
  if (!layers.is_array()) fail(kWhere, brief(layers), "an array of layer names");
  for (const Json& layer : layers) {
    if (!layer.is_string() || layer.get_ref<const std::string&>().empty())
      fail(kWhere, brief(layer), "a layer name");
    if (!config.layers.emplace(layer.get<std::string>(), layout).second)
      fail(kWhere, fmt::format("layer {} twice", brief(layer)), "each layer once");
  }
}

/// Checks what stands beside the layouts and returns the format version.
std::int64_t read_header(const Json& config) {
  if (!config.is_object()) fail(kWhere, brief(config), "an object");
  expect_text(config, "quant_method", "karat",
              "karat reads its own folders and unquantized checkpoints");
  const std::int64_t version = integer(config, "format_version");
  if (version > kFormatVersion)
    fail(kWhere, fmt::format("format version {}", version),
         fmt::format("at most {}", kFormatVersion), kUpgrade);
  if (version < 1) fail(kWhere, fmt::format("format version {}", version), "1 or more");
  expect_text(config, "format", kFormat, kUpgrade);
  return version;
}

Ordered layout_json(const PackedLayout& layout) {
  const PackedLayout absent{.format = layout.format};
  Ordered json = {{"grid", layout.format}};
  for (const Key& key : find_codec(kWhere, layout.format).keys) {
    const KeyValue value = key.get(layout);
    if (key.required || value != key.get(absent))
      std::visit([&](const auto& one) { json[std::string(key.name)] = one; }, value);
  }
  json["layers"] = Ordered::array();
  return json;
}

}  // namespace

std::string quantization_json(const QuantizationConfig& config) {
  Ordered groups = Ordered::array();
  std::vector<PackedLayout> seen;  // in order of the first layer that has it
  int version = config.version;
  for (const auto& [name, layout] : config.layers) {
    check_layout("write quantization_config, layer " + name, layout);
    const auto at = static_cast<std::size_t>(std::ranges::find(seen, layout) - seen.begin());
    if (at == seen.size()) {
      seen.push_back(layout);
      groups.push_back(layout_json(layout));
      version = std::max(version, since(layout).version);
    }
    groups[at]["layers"].push_back(name);
  }
  return Ordered{{"quant_method", "karat"},
                 {"format", kFormat},
                 {"format_version", version},
                 {"method", config.method},
                 {"layouts", std::move(groups)}}
      .dump();
}

std::optional<QuantizationConfig> parse_quantization(std::string_view config_json) {
  const Json root = Json::parse(config_json, nullptr, false);
  if (!root.is_object()) fail("read config.json", "text that is not a JSON object", "one");
  const auto found = root.find("quantization_config");
  if (found == root.end() || found->is_null()) return std::nullopt;
  const std::int64_t version = read_header(*found);
  QuantizationConfig config;
  config.version = static_cast<int>(version);
  config.method = text(*found, "method");
  const Json& layouts = field(*found, "layouts");
  if (!layouts.is_array()) fail(kWhere, brief(layouts), "an array \"layouts\"");
  for (const Json& layout : layouts) read_layers(layout, version, config);
  return config;
}

}  // namespace karat
