#include "serve/completion_request.h"

#include "serve/request_fields.h"

namespace karat {
namespace {

using Json = nlohmann::json;

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
  check_length(result, limits, "prompt");
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
  CompletionRequest request = common_fields(fields, limits);
  request.echo = fields.flag("echo", false);
  fields.whole("best_of", request.n, request.n, request.n);
  if (const Json& suffix = fields.find("suffix"); !suffix.is_null() && suffix != "")
    JsonFields::refuse("suffix", "none: this server only continues texts");
  Generation& wanted = request.wanted;
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
