#include "serve/completion_request.h"

#include <random>

#include "karat/error.h"
#include "serve/fields.h"

namespace karat {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMostAlternatives = 20;
constexpr std::size_t kMostStops = 16;

bool is_ids(const Json& value) {
  return value.is_array() && !value.empty() && value.front().is_number();
}

std::vector<TokenId> ids_of(const Json& value, std::int64_t vocab) {
  std::vector<TokenId> ids;
  for (const Json& one : value) {
    if (!one.is_number_integer() || one < 0 || one >= vocab)
      JsonFields::refuse("prompt", "token ids from 0 to " + std::to_string(vocab - 1));
    ids.push_back(one.get<TokenId>());
  }
  return ids;
}

CompletionRequest::Prompt prompt(const Json& value, const Tokenizer& tokenizer,
                                 const CompletionLimits& limits) {
  CompletionRequest::Prompt result;
  if (value.is_string()) {
    result.text = value.get<std::string>();
    result.ids = tokenizer.encode(result.text);
  } else if (is_ids(value)) {
    result.ids = ids_of(value, limits.vocab);
    result.text = tokenizer.decode(result.ids, false);
  } else {
    JsonFields::refuse("prompt", "a text, token ids, or a list of either");
  }
  if (result.ids.empty() && tokenizer.bos()) result.ids = {*tokenizer.bos()};
  if (result.ids.empty()) JsonFields::refuse("prompt", "at least one token");
  if (std::ssize(result.ids) > limits.context)
    throw ApiError(400,
                   "prompt: " + std::to_string(result.ids.size()) + " tokens, expected at most " +
                       std::to_string(limits.context) + ", the context",
                   "prompt");
  return result;
}

std::vector<CompletionRequest::Prompt> prompts(const Json& value, const Tokenizer& tokenizer,
                                               const CompletionLimits& limits) {
  if (!value.is_array() || is_ids(value)) return {prompt(value, tokenizer, limits)};
  if (value.empty() || std::ssize(value) > limits.texts)
    JsonFields::refuse("prompt", "from 1 to " + std::to_string(limits.texts) + " prompts");
  std::vector<CompletionRequest::Prompt> result;
  for (const Json& one : value) result.push_back(prompt(one, tokenizer, limits));
  return result;
}

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

/// What other servers know and this one need not, as long as it asks for nothing.
void check_ignored(JsonFields& fields, std::int64_t n) {
  fields.find("user");
  if (const Json& model = fields.find("model"); !model.is_null() && !model.is_string())
    JsonFields::refuse("model", "a text");
  fields.whole("best_of", n, n, n);
  if (const Json& suffix = fields.find("suffix"); !suffix.is_null() && suffix != "")
    JsonFields::refuse("suffix", "none: this server only continues texts");
}

}  // namespace

std::vector<Generation> CompletionRequest::generations() const {
  std::vector<Generation> result;
  for (std::size_t text = 0; text < texts(); ++text) {
    Generation& one = result.emplace_back(wanted);
    one.prompt = prompt_of(text).ids;
    one.sampling.seed += text % static_cast<std::size_t>(n);
  }
  return result;
}

CompletionRequest parse_completion(std::string_view body, const Tokenizer& tokenizer,
                                   const CompletionLimits& limits) {
  JsonFields fields(body);
  CompletionRequest request;
  request.n = fields.whole("n", 1, 1, limits.texts);
  request.echo = fields.flag("echo", false);
  request.stream = fields.flag("stream", false);
  if (const Json& options = fields.find("stream_options"); !options.is_null()) {
    JsonFields inner(options.dump(-1, ' ', false, Json::error_handler_t::replace));
    request.usage = inner.flag("include_usage", false);
  }
  check_ignored(fields, request.n);
  Generation& wanted = request.wanted;
  wanted.sampling = sampling(fields, limits.vocab);
  wanted.stop_texts = stops(fields.find("stop"));
  if (!fields.find("logprobs").is_null())
    wanted.alternatives = fields.whole("logprobs", 0, 0, kMostAlternatives);
  wanted.score_prompt = request.echo && wanted.alternatives;
  wanted.max_new = fields.whole("max_tokens", 16, wanted.score_prompt ? 0 : 1, INT32_MAX);
  const Json& prompt_field = fields.find("prompt");
  fields.finish();
  request.prompts = prompts(prompt_field, tokenizer, limits);
  if (std::ssize(request.prompts) * request.n > limits.texts)
    JsonFields::refuse("n", "at most " + std::to_string(limits.texts) + " texts of all prompts");
  return request;
}

std::string tokenize_answer(std::string_view body, const Tokenizer& tokenizer) {
  JsonFields fields(body);
  const bool special = fields.flag("add_special", true);
  const Json& content = fields.find("content");
  fields.finish();
  if (!content.is_string()) JsonFields::refuse("content", "a text");
  return Json{{"tokens", tokenizer.encode(content.get_ref<const std::string&>(), special)}}.dump();
}

}  // namespace karat
