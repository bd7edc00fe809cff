#include "serve/request_fields.h"

#include <random>

namespace karat {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostStops = 16;

std::vector<std::string> stops(const Json& value) {
  std::vector<std::string> result;
  const Json list = value.is_string() ? Json::array({value}) : value;
  if (list.is_null()) return result;
  const std::string expected = "a text or up to " + std::to_string(kMostStops);
  if (!list.is_array() || list.size() > kMostStops) JsonFields::refuse("stop", expected);
  for (const Json& one : list) {
    if (!one.is_string()) JsonFields::refuse("stop", expected);
    if (!one.get_ref<const std::string&>().empty()) result.push_back(one);
  }
  return result;
}

std::map<TokenId, double> biases(const Json& value, std::int64_t vocab) {
  std::map<TokenId, double> result;
  if (value.is_null()) return result;
  const auto refuse = [] {
    JsonFields::refuse("logit_bias", "an object of token ids and numbers from -100 to 100");
  };
  if (!value.is_object()) refuse();
  for (const auto& [name, bias] : value.items()) {
    const bool digits = !name.empty() && name.size() < 10 &&
                        name.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || std::stol(name) >= vocab || !bias.is_number()) refuse();
    const double number = bias.get<double>();
    if (!(number >= -100 && number <= 100)) refuse();
    result[static_cast<TokenId>(std::stol(name))] = number;
  }
  return result;
}

std::uint64_t any_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 31) ^ device();
}

Sampling sampling(JsonFields& fields, std::int64_t vocab) {
  Sampling result{.temperature = fields.number("temperature", 1, 0, 2),
                  .top_p = fields.number("top_p", 1, 0, 1),
                  .top_k = std::max<std::int64_t>(0, fields.whole("top_k", 0, -1, INT32_MAX)),
                  .min_p = fields.number("min_p", 0, 0, 1),
                  .presence_penalty = fields.number("presence_penalty", 0, -2, 2),
                  .frequency_penalty = fields.number("frequency_penalty", 0, -2, 2),
                  .bias = biases(fields.find("logit_bias"), vocab)};
  if (result.top_p == 0) JsonFields::refuse("top_p", "a number above 0");
  const bool given = !fields.find("seed").is_null();
  result.seed = given ? static_cast<std::uint64_t>(fields.whole("seed", 0, INT64_MIN, INT64_MAX))
                      : any_seed();
  return result;
}

}  // namespace

CompletionRequest common_fields(JsonFields& fields, const CompletionLimits& limits) {
  CompletionRequest request;
  request.n = fields.whole("n", 1, 1, limits.texts);
  request.stream = fields.flag("stream", false);
  if (const Json& options = fields.find("stream_options"); !options.is_null()) {
    JsonFields inner(options.dump(-1, ' ', false, Json::error_handler_t::replace));
    request.usage = inner.flag("include_usage", false);
  }
  fields.find("user");
  if (const Json& model = fields.find("model"); !model.is_null() && !model.is_string())
    JsonFields::refuse("model", "a text");
  request.wanted.sampling = sampling(fields, limits.vocab);
  request.wanted.stop_texts = stops(fields.find("stop"));
  return request;
}

void check_length(const CompletionRequest::Prompt& prompt, const CompletionLimits& limits,
                  const std::string& field) {
  if (prompt.ids.empty()) JsonFields::refuse(field, "at least one token");
  if (std::ssize(prompt.ids) > limits.context)
    throw ApiError(400,
                   field + ": " + std::to_string(prompt.ids.size()) + " tokens, expected at most " +
                       std::to_string(limits.context) + ", the context",
                   field);
}

}  // namespace karat
