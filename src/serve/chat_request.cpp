// The body of a request for the next message of a conversation.
#include "karat/error.h"
#include "serve/request_fields.h"

namespace karat {
namespace {

using Json = nlohmann::json;

/// The text of a message's content: itself, or all its parts.
Json content_of(const Json& content) {
  if (content.is_string() || content.is_null()) return content;
  const auto refuse = [] {
    JsonFields::refuse("messages", "content that is a text or a list of parts of type text");
  };
  if (!content.is_array()) refuse();
  std::string text;
  for (const Json& part : content) {
    if (!part.is_object() || part.value("type", Json()) != "text" ||
        !part.value("text", Json()).is_string())
      refuse();
    text += part["text"].get_ref<const std::string&>();
  }
  return text;
}

std::string messages_of(const Json& value) {
  if (!value.is_array() || value.empty()) JsonFields::refuse("messages", "a list of messages");
  Json messages = value;
  for (Json& message : messages) {
    if (!message.is_object() || !message.value("role", Json()).is_string())
      JsonFields::refuse("messages", "objects, each with a role that is a text");
    if (message.contains("content")) message["content"] = content_of(message["content"]);
  }
  return messages.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Tools that the template may show. Which of them is called is left to the model.
std::string tools_of(JsonFields& fields) {
  const Json& tools = fields.find("tools");
  const Json& choice = fields.find("tool_choice");
  if (!choice.is_null() && choice != "auto" && choice != "none")
    JsonFields::refuse("tool_choice", "auto or none");
  if (tools.is_null() || choice == "none") return {};
  if (!tools.is_array()) JsonFields::refuse("tools", "a list of functions");
  return tools.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

CompletionRequest parse_chat(std::string_view body, const ChatPrompt& prompt_of,
                             const Tokenizer& tokenizer, const CompletionLimits& limits) {
  JsonFields fields(body);
  CompletionRequest request = common_fields(fields, limits);
  request.chat = true;
  Generation& wanted = request.wanted;
  const std::int64_t most = fields.whole("max_tokens", INT32_MAX, 1, INT32_MAX);
  wanted.max_new = fields.whole("max_completion_tokens", most, 1, INT32_MAX);
  const std::int64_t top = fields.whole("top_logprobs", 0, 0, kMostAlternatives);
  if (fields.flag("logprobs", false))
    wanted.alternatives = top;
  else if (top > 0)
    JsonFields::refuse("top_logprobs", "logprobs to be true");
  const std::string messages = messages_of(fields.find("messages")), tools = tools_of(fields);
  fields.finish();
  CompletionRequest::Prompt& prompt = request.prompts.emplace_back();
  try {
    prompt.text = prompt_of(messages, tools);
  } catch (const Error& error) {
    throw ApiError(400, error.what(), "messages");
  }
  prompt.ids = tokenizer.encode(prompt.text, false);
  check_length(prompt, limits, "messages");
  return request;
}

}  // namespace karat
