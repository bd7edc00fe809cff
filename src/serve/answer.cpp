#include "serve/answer.h"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <random>

namespace karat {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string dumped(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string random_id(std::string_view prefix) {
  std::random_device device;
  return fmt::format("{}-{:08x}{:08x}{:08x}", prefix, device(), device(), device());
}

std::string_view error_type(int status) {
  if (status == 401) return "authentication_error";
  if (status == 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

}  // namespace

std::string error_answer(int status, std::string_view message, std::string_view param) {
  const OrderedJson name = param.empty() ? OrderedJson() : OrderedJson(param);
  return dumped(
      {{"error",
        {{"message", message}, {"type", error_type(status)}, {"param", name}, {"code", status}}}});
}

std::string models_answer(std::string_view name) {
  const OrderedJson model{{"id", name}, {"object", "model"}, {"created", 0}, {"owned_by", "karat"}};
  return dumped({{"object", "list"}, {"data", OrderedJson::array({model})}});
}

std::string metrics_answer(ServedCounts& counts, std::int64_t open) {
  std::string text;
  const auto add = [&](std::string_view name, std::string_view type, std::string_view help,
                       std::int64_t value) {
    text += fmt::format("# HELP karat_{0} {2}\n# TYPE karat_{0} {1}\nkarat_{0} {3}\n", name, type,
                        help, value);
  };
  add("requests_total", "counter", "Requests taken.", counts.requests);
  add("requests_refused_total", "counter", "Requests that found no place.", counts.refused);
  add("requests_open", "gauge", "Requests that wait or are answered.", open);
  add("texts_total", "counter", "Texts that ended.", counts.texts);
  add("texts_cancelled_total", "counter", "Texts that nobody wanted any more.", counts.cancelled);
  add("prompt_tokens_total", "counter", "Tokens of prompts of ended texts.", counts.prompt_tokens);
  add("written_tokens_total", "counter", "Tokens written.", counts.written_tokens);
  add("engine_steps_total", "counter", "Steps of the engine.", counts.steps);
  return text;
}

CompletionAnswer::CompletionAnswer(const CompletionRequest& request, const Tokenizer& tokenizer,
                                   std::string name)
    : request_(request),
      tokenizer_(tokenizer),
      name_(std::move(name)),
      id_(random_id(request.chat ? "chatcmpl" : "cmpl")),
      created_(std::chrono::duration_cast<std::chrono::seconds>(
                   std::chrono::system_clock::now().time_since_epoch())
                   .count()),
      choices_(request.texts()) {
  for (const CompletionRequest::Prompt& one : request.prompts)
    prompt_tokens_ += std::ssize(one.ids);
}

const CompletionRequest::Prompt& CompletionAnswer::prompt(std::size_t index) const {
  return request_.prompt_of(index);
}

/// JSON of the tokens that were not shown yet. A first token that nothing predicts has no number.
std::string CompletionAnswer::logprobs(Choice& choice, std::size_t index) const {
  if (!request_.wanted.alternatives) return "null";
  if (request_.chat) return chat_logprobs(choice);
  OrderedJson tokens = OrderedJson::array(), numbers = tokens, tops = tokens, offsets = tokens;
  const auto add = [&](TokenId id, const OrderedJson& number, const OrderedJson& top) {
    const std::string text = tokenizer_.decode(std::span(&id, 1), false);
    tokens.push_back(text);
    numbers.push_back(number);
    tops.push_back(top);
    offsets.push_back(choice.offset);
    choice.offset += std::ssize(text);
  };
  if (request_.echo && choice.offset == 0 && choice.shown == 0)
    add(prompt(index).ids.front(), nullptr, nullptr);
  for (; choice.shown < choice.scores.size(); ++choice.shown) {
    const TokenScore& score = choice.scores[choice.shown];
    OrderedJson top = OrderedJson::object();
    for (const auto& [id, number] : score.top)  // of tokens that read the same, the likeliest
      if (const std::string text = tokenizer_.decode(std::span(&id, 1), false); !top.contains(text))
        top[text] = number;
    add(score.id, score.logprob, top);
  }
  return dumped({{"tokens", tokens},
                 {"token_logprobs", numbers},
                 {"top_logprobs", tops},
                 {"text_offset", offsets}});
}

std::string CompletionAnswer::chat_logprobs(Choice& choice) const {
  OrderedJson content = OrderedJson::array();
  const auto token = [&](TokenId id, double number) {
    const std::string text = tokenizer_.decode(std::span(&id, 1), false);
    OrderedJson bytes = OrderedJson::array();
    for (const char byte : text) bytes.push_back(static_cast<unsigned char>(byte));
    return OrderedJson{{"token", text}, {"logprob", number}, {"bytes", bytes}};
  };
  for (; choice.shown < choice.scores.size(); ++choice.shown) {
    const TokenScore& score = choice.scores[choice.shown];
    OrderedJson top = OrderedJson::array();
    for (const auto& [id, number] : score.top) top.push_back(token(id, number));
    content.push_back(token(score.id, score.logprob));
    content.back()["top_logprobs"] = top;
  }
  return dumped({{"content", content}});
}

std::string CompletionAnswer::usage() const {
  return dumped({{"prompt_tokens", prompt_tokens_},
                 {"completion_tokens", written_},
                 {"total_tokens", prompt_tokens_ + written_}});
}

std::string CompletionAnswer::object(const std::string& choices, const std::string& more,
                                     bool whole) const {
  const std::string_view kind = !request_.chat ? "text_completion"
                                : whole        ? "chat.completion"
                                               : "chat.completion.chunk";
  return fmt::format(R"({{"id":"{}","object":"{}","created":{},"model":{},"choices":[{}]{}}})", id_,
                     kind, created_, dumped(name_), choices, more);
}

std::string CompletionAnswer::shown(Choice& choice, std::size_t index, const std::string& text,
                                    bool whole) const {
  std::string written = fmt::format("\"text\":{}", dumped(text));
  if (request_.chat) {
    OrderedJson message;
    if (whole || !choice.begun) message["role"] = "assistant";
    message["content"] = text;
    written = (whole ? "\"message\":" : "\"delta\":") + dumped(message);
  }
  const OrderedJson finish = choice.finish.empty() ? OrderedJson() : OrderedJson(choice.finish);
  return fmt::format(R"({{{},"index":{},"logprobs":{},"finish_reason":{}}})", written, index,
                     logprobs(choice, index), dumped(finish));
}

std::string CompletionAnswer::event(ServedPiece piece) {
  Choice& choice = choices_.at(piece.text);
  std::string text = std::move(piece.piece);
  choice.scores.insert(choice.scores.end(), piece.scores.begin(), piece.scores.end());
  if (piece.done) {
    Generated& done = *piece.done;
    const bool stopped = done.ending == Ending::eos || done.ending == Ending::text;
    choice.finish = stopped ? "stop" : "length";
    if (request_.echo)
      choice.scores.insert(choice.scores.begin(), done.prompt_scores.begin(),
                           done.prompt_scores.end());
    written_ += std::ssize(done.ids);
    ++complete_;
  }
  // Scores of an echoed prompt come with the last piece: until then nothing is shown.
  const bool waits = request_.wanted.score_prompt && choice.finish.empty();
  choice.text += text;
  if (!request_.stream || waits) return {};
  if (request_.wanted.score_prompt) text = choice.text;
  if (request_.echo && !choice.begun) text = prompt(piece.text).text + text;
  const std::string choices = shown(choice, piece.text, text, false);
  choice.begun = true;
  return "data: " + object(choices, "", false) + "\n\n";
}

std::string CompletionAnswer::whole() const {
  std::string all;
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    Choice choice = choices_[i];
    const std::string text = request_.echo ? prompt(i).text + choice.text : choice.text;
    if (i > 0) all += ',';
    all += shown(choice, i, text, true);
  }
  return object(all, ",\"usage\":" + usage(), true);
}

std::string CompletionAnswer::end() const {
  std::string events;
  if (request_.usage) events = "data: " + object("", ",\"usage\":" + usage(), false) + "\n\n";
  return events + "data: [DONE]\n\n";
}

}  // namespace karat
