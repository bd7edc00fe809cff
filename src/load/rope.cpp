// Rotary embedding: base frequencies of RoFormer (Su et al. 2021), position interpolation (Chen et
// al. 2023, "linear"), the frequency smoothing of Llama 3.1 ("llama3"), YaRN (Peng et al. 2023),
// and LongRoPE (Ding et al. 2024).
#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>
#include <utility>

#include "karat/error.h"
#include "load/family.h"

namespace karat {
namespace {

constexpr std::int64_t kMaxHeadDim = 1 << 16;  // a lying size must not cost memory

/// Both generations as one object: what rope_parameters holds, for the layers asked about where it
/// tells layers apart, with rope_theta and rope_type set.
ConfigReader rope_parameters(const ConfigReader& config, const RopeQuestion& ask) {
  nlohmann::json merged = nlohmann::json::object();
  std::string from = "rope_parameters";
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.holds(key)) continue;
    if (!config.json()[key].is_object()) config.reject(key, "an object or null");
    merged = config.json()[key];
    from = key;
    if (!merged.empty()) break;  // as transformers: the older key wins when both are there
  }
  const ConfigReader all = config.nested(from, merged);
  const bool apart = ask.layers != nullptr && merged.contains(ask.layers);
  if (apart) merged = all.holds(ask.layers) ? all.object(ask.layers).json() : nlohmann::json({});
  if (apart && merged.is_null()) merged = nlohmann::json::object();
  if (!apart && !ask.scaled) merged = nlohmann::json::object();
  for (const auto& [inner, outer] :
       {std::pair{"rope_theta", ask.theta_key}, {"partial_rotary_factor", "partial_rotary_factor"}})
    if (!merged.contains(inner) && config.has(outer)) merged[inner] = config.json()[outer];
  if (config.has("original_max_position_embeddings"))
    merged["original_max_position_embeddings"] = config.json()["original_max_position_embeddings"];
  ConfigReader rope =
      apart ? all.nested(ask.layers, std::move(merged)) : config.nested(from, std::move(merged));
  for (const auto& [key, value] : rope.json().items())
    if (value.is_object()) rope.reject(key, "one set of rope parameters for all layers");
  return rope;
}

double required(const ConfigReader& rope, const std::string& key) {
  if (!rope.has(key)) rope.reject(key, key + " for this rope_type");
  return rope.positive_or(key, 0);
}

/// Llama 3.1: wavelengths above `context / low` are stretched by `factor`, those below
/// `context / high` stay, and between them the two are blended.
void smooth(std::vector<double>& frequencies, const ConfigReader& rope,
            std::int64_t max_positions) {
  const double factor = required(rope, "factor"), low = required(rope, "low_freq_factor"),
               high = required(rope, "high_freq_factor");
  const double context =
      rope.positive_or("original_max_position_embeddings", static_cast<double>(max_positions));
  if (low >= high) rope.reject("low_freq_factor", "a number below high_freq_factor");
  for (double& frequency : frequencies) {
    const double turns = context * frequency / (2 * std::numbers::pi);  // within the old context
    const double keep = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    frequency *= keep + (1 - keep) / factor;
  }
}

/// YaRN: frequencies that turn more than beta_fast times within the old context stay, those that
/// turn less than beta_slow times are divided by `factor`, and the dimensions between are blended.
/// Returns what cosines and sines are multiplied by.
double stretch(std::vector<double>& frequencies, const ConfigReader& rope, double theta,
               std::int64_t max_positions) {
  const double context =
      rope.positive_or("original_max_position_embeddings", static_cast<double>(max_positions));
  const double factor = rope.positive_or("factor", static_cast<double>(max_positions) / context);
  const auto number = [&](const char* key, double fallback) {
    const double value = rope.number_or(key, 0);
    return value == 0 ? fallback : value;
  };
  const double half = static_cast<double>(frequencies.size());
  const auto dimension_of = [&](double turns) {
    return half * std::log(context / (turns * 2 * std::numbers::pi)) / std::log(theta);
  };
  double low = dimension_of(number("beta_fast", 32)), high = dimension_of(number("beta_slow", 1));
  if (rope.flag_or("truncate", true)) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, 2 * half - 1);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= 1 - ramp + ramp / factor;
  }

  const auto magnitude = [&](double scale) {
    return factor <= 1 ? 1 : 0.1 * scale * std::log(factor) + 1;
  };
  const double scale = rope.number_or("mscale", 0), all = rope.number_or("mscale_all_dim", 0);
  return rope.positive_or("attention_factor", scale != 0 && all != 0
                                                  ? magnitude(scale) / magnitude(all)
                                                  : magnitude(1));
}

/// LongRoPE: every frequency has a factor of its own, one within the old context and one beyond it.
/// Karat stays within it. Returns what cosines and sines are multiplied by.
double divide(std::vector<double>& frequencies, const ConfigReader& rope,
              std::int64_t max_positions) {
  const double context = required(rope, "original_max_position_embeddings");
  const double factor = rope.positive_or("factor", static_cast<double>(max_positions) / context);
  rope.harmless({"long_factor"});
  const nlohmann::json list =
      rope.holds("short_factor") ? rope.json()["short_factor"] : nlohmann::json();
  const auto positive = [](const nlohmann::json& one) { return one.is_number() && one > 0; };
  if (!list.is_array() || list.size() != frequencies.size() || !std::ranges::all_of(list, positive))
    rope.reject("short_factor",
                "a list of " + std::to_string(frequencies.size()) + " numbers above 0");
  for (std::size_t i = 0; i < frequencies.size(); ++i) frequencies[i] /= list[i].get<double>();
  return rope.positive_or("attention_factor",
                          factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(context)));
}

/// How many values of a head are rotated.
std::int64_t rotated(const ConfigReader& rope, const RopeQuestion& ask, std::int64_t head_dim) {
  const double part = rope.positive_or("partial_rotary_factor", ask.partial > 0 ? ask.partial : 1);
  if (ask.partial == 0 && part != 1)
    rope.reject("partial_rotary_factor", "1: this family rotates whole heads only");
  const auto count = static_cast<std::int64_t>(static_cast<double>(head_dim) * part);
  if (part > 1 || count < 2 || count % 2 != 0)
    rope.reject("partial_rotary_factor",
                "an even number of the " + std::to_string(head_dim) + " values of a head");
  return count;
}

std::string type_of(const ConfigReader& rope) {
  const std::string key = rope.holds("rope_type") || !rope.holds("type") ? "rope_type" : "type";
  const std::string type = rope.text_or(key, "default");
  if (rope.json().value("type", nlohmann::json()) == type) rope.harmless({"type"});
  const std::set<std::string> known = {"default", "linear", "llama3",   "yarn",
                                       "dynamic", "mrope",  "longrope", "su"};
  if (!known.contains(type))
    rope.reject(key, "default, linear, llama3, yarn, longrope, dynamic or mrope");
  const bool first_names = type == "su" || (type == "yarn" && rope.holds("short_factor"));
  return first_names ? "longrope" : type;
}

/// Scales the frequencies as `type` says; returns what cosines and sines are multiplied by.
double scale(std::vector<double>& frequencies, const ConfigReader& rope, const std::string& type,
             double theta, std::int64_t max_positions) {
  if (type == "yarn") return stretch(frequencies, rope, theta, max_positions);
  if (type == "longrope") return divide(frequencies, rope, max_positions);
  if (type == "llama3") smooth(frequencies, rope, max_positions);
  if (type == "dynamic")
    required(rope, "factor");  // of contexts beyond max_positions, which Karat does not run
  if (type != "linear") return 1;
  const double factor = required(rope, "factor");
  for (double& frequency : frequencies) frequency /= factor;
  return 1;
}

}  // namespace

Rope read_rope(const ConfigReader& config, std::int64_t head_dim, std::int64_t max_positions,
               const RopeQuestion& ask) {
  if (head_dim % 2 != 0 || head_dim > kMaxHeadDim)
    fail("read " + config.path(), "a head of " + std::to_string(head_dim) + " values",
         "an even number of at most 65536, for its rotary embedding");
  const ConfigReader rope = rope_parameters(config, ask);
  const std::string type = type_of(rope);
  const auto count = static_cast<double>(rotated(rope, ask, head_dim));
  double theta = rope.positive_or("rope_theta", ask.theta);
  const bool fixed = ask.alpha && type == "dynamic" && rope.holds("alpha");
  if (fixed) theta *= std::pow(rope.positive_or("alpha", 1), count / (count - 2));
  if (fixed) rope.harmless({"factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim"});
  std::vector<double> frequencies(static_cast<std::size_t>(count / 2));
  for (std::size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] = std::pow(theta, -2.0 * static_cast<double>(i) / count);
  const double cosines = scale(frequencies, rope, fixed ? "default" : type, theta, max_positions);
  Rope result{
      {frequencies.begin(), frequencies.end()}, static_cast<float>(cosines), ask.interleaved};
  if (type == "longrope") result.context = rope.count("original_max_position_embeddings");
  // Beside types that do not ask for it; text has one position for all sections.
  rope.harmless({"original_max_position_embeddings", "mrope_section", "mrope_interleaved"});
  for (const float frequency : result.frequencies)
    if (!std::isfinite(frequency)) rope.reject("rope_theta", "frequencies that are finite");
  return result;
}

}  // namespace karat
