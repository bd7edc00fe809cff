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
constexpr std::string_view kUpgrade = "this folder was written by a newer karat; upgrade karat";
const std::string kWhere = "read quantization_config";

/// The format version that brought what a layout uses.
int version_of(const PackedLayout& layout) {
  if (layout.codebook == Codebook::trellis && layout.bits == 5) return 5;
  if (layout.blocks) return 4;
  if (layout.codebook == Codebook::trellis || layout.rotation) return 3;
  return layout.codebook == Codebook::uniform && !layout.input_scales ? 1 : 2;
}

const Json& field(const Json& object, const char* key) {
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

std::int64_t integer(const Json& object, const char* key) {
  const Json& value = field(object, key);
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() && value.get<std::uint64_t>() >> 31))
    fail(fmt::format("{}, \"{}\"", kWhere, key), brief(value), "an integer below 2^31");
  return value.get<std::int64_t>();
}

bool boolean(const Json& object, const char* key) {
  const Json& value = field(object, key);
  if (!value.is_boolean())
    fail(fmt::format("{}, \"{}\"", kWhere, key), brief(value), "true or false");
  return value.get<bool>();
}

std::string text(const Json& object, const char* key) {
  const Json& value = field(object, key);
  if (!value.is_string()) fail(fmt::format("{}, \"{}\"", kWhere, key), brief(value), "a string");
  return value.get<std::string>();
}

void expect_text(const Json& object, const char* key, std::string_view wanted,
                 std::string_view hint) {
  if (const std::string got = text(object, key); got != wanted)
    fail(fmt::format("{}, \"{}\"", kWhere, key), brief(got), fmt::format("\"{}\"", wanted), hint);
}

constexpr std::string_view kInputScales = "input_scales";  // absent means false
constexpr std::string_view kRotation = "rotation";         // absent means none
constexpr std::string_view kBlocks = "blocks";             // absent means false

/// The keys of a grid's layouts in the order they are written in. The optional ones come after
/// `before_optional`.
struct Keys {
  std::vector<std::string_view> required;
  std::string_view before_optional;
};
Keys keys_of(Codebook codebook) {
  if (codebook == Codebook::trellis) return {{"grid", "code", "bits", "layers"}, "bits"};
  Keys keys{{"grid", "bits", "group"}, "group"};
  if (codebook != Codebook::lut) keys.required.push_back("symmetric");
  if (codebook == Codebook::uniform) keys.required.push_back("bilevel");
  keys.required.push_back("layers");
  return keys;
}

bool is_optional(Codebook codebook, std::string_view key) {
  return key == kInputScales || key == kRotation ||
         (key == kBlocks && codebook == Codebook::uniform);
}

Codebook read_grid(const Json& object) {
  const std::string name = text(object, "grid");
  const auto codebook = find_codebook(name);
  if (!codebook)
    fail(fmt::format("{}, \"grid\"", kWhere), brief(field(object, "grid")),
         "uniform, nf4, fp4, e2m1, e2m1-daq, lut or trellis", kUpgrade);
  return *codebook;
}

TrellisCode read_code(const Json& object) {
  const auto code = find_trellis_code(text(object, "code"));
  if (!code)
    fail(fmt::format("{}, \"code\"", kWhere), brief(field(object, "code")), "1mad, 3inst or 1mad12",
         kUpgrade);
  return *code;
}

std::uint32_t read_seed(const Json& object) {
  const std::int64_t seed = integer(object, "rotation");
  if (seed < 0) fail(fmt::format("{}, \"rotation\"", kWhere), fmt::format("{}", seed), "0 or more");
  return static_cast<std::uint32_t>(seed);
}

void check_version(const PackedLayout& layout, std::int64_t version) {
  if (version >= version_of(layout)) return;
  fail(kWhere,
       fmt::format("grid {}{}{}{}{} in format version {}", name_of(layout.codebook),
                   version_of(layout) == 5 ? " of 5 bits" : "",
                   layout.input_scales ? " with input scales" : "",
                   layout.rotation ? " with a rotation" : "", layout.blocks ? " in blocks" : "",
                   version),
       fmt::format("version {}", version_of(layout)));
}

PackedLayout read_layout(const Json& object, std::int64_t version) {
  if (!object.is_object()) fail(kWhere, brief(object), "an object in \"layouts\"");
  PackedLayout layout;
  layout.codebook = read_grid(object);
  const std::vector<std::string_view> keys = keys_of(layout.codebook).required;
  const auto has = [&](std::string_view key) { return std::ranges::find(keys, key) != keys.end(); };
  for (const auto& [key, value] : object.items())
    if (!has(key) && !is_optional(layout.codebook, key))
      fail(kWhere, fmt::format("\"{}\" in a layout of grid {}", key, name_of(layout.codebook)),
           fmt::format("the keys {}", fmt::join(keys, ", ")), kUpgrade);
  layout.bits = static_cast<int>(std::clamp<std::int64_t>(integer(object, "bits"), -1, 255));
  layout.group = has("group") ? integer(object, "group") : 0;
  layout.symmetric = has("symmetric") && boolean(object, "symmetric");
  layout.bilevel = has("bilevel") && boolean(object, "bilevel");
  layout.input_scales = object.contains(kInputScales) && boolean(object, "input_scales");
  if (has("code")) layout.code = read_code(object);
  if (object.contains(kRotation)) layout.rotation = read_seed(object);
  layout.blocks = object.contains(kBlocks) && boolean(object, "blocks");
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
  const Keys keys = keys_of(layout.codebook);
  const Ordered values = {{"grid", name_of(layout.codebook)},
                          {"code", name_of(layout.code)},
                          {"bits", layout.bits},
                          {"group", layout.group},
                          {"symmetric", layout.symmetric},
                          {"bilevel", layout.bilevel},
                          {"layers", Ordered::array()}};
  Ordered json;
  for (const std::string_view key : keys.required) {
    const std::string name(key);
    json[name] = values[name];
    if (key != keys.before_optional) continue;
    if (layout.input_scales) json["input_scales"] = true;
    if (layout.rotation) json["rotation"] = *layout.rotation;
    if (layout.blocks) json["blocks"] = true;
  }
  return json;
}

}  // namespace

std::string quantization_json(const QuantizationConfig& config) {
  Ordered groups = Ordered::array();
  std::vector<PackedLayout> seen;  // in order of the first layer that has it
  int version = 1;
  for (const auto& [name, layout] : config.layers) {
    check_layout("write quantization_config, layer " + name, layout);
    const auto at = static_cast<std::size_t>(std::ranges::find(seen, layout) - seen.begin());
    if (at == seen.size()) {
      seen.push_back(layout);
      groups.push_back(layout_json(layout));
      version = std::max(version, version_of(layout));
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
  config.method = text(*found, "method");
  const Json& layouts = field(*found, "layouts");
  if (!layouts.is_array()) fail(kWhere, brief(layouts), "an array \"layouts\"");
  for (const Json& layout : layouts) read_layers(layout, version, config);
  return config;
}

}  // namespace karat
