// A conversation as the text that a model was taught to continue: its chat template, rendered.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace karat {

/// What a template is rendered with. JSON texts, as transformers' apply_chat_template takes them.
struct ChatInput {
  std::string messages = "[]";           // a list of objects: role, content, tool_calls, …
  std::string tools = {};                // a list of JSON schemas; empty: none
  std::string documents = {};            // a list of objects; empty: none
  std::string variables = {};            // an object: further variables, as bos_token; empty: none
  bool add_generation_prompt = true;     // ends where the assistant's answer begins
  std::optional<std::int64_t> now = {};  // of strftime_now, seconds since 1970; nothing: the clock
};

/// The part of Jinja that chat templates use, as transformers sets it up; no call, import, raw or
/// recursive blocks. Tuples are lists, and print as such. Thread-safe.
class ChatTemplate {
 public:
  /// Throws Error, with the line, on what is no template or uses what Karat does not know.
  explicit ChatTemplate(std::string_view source);
  /// A model's own: chat_template.jinja, else what tokenizer_config.json (or a GGUF file) says, a
  /// text or a list of named ones; `name` of those, "default" when it is empty. Nothing: the model
  /// has none. Its special tokens (bos_token, …) are variables. Throws Error when the model has
  /// templates but none of that name.
  static std::optional<ChatTemplate> of_model(const std::filesystem::path& model,
                                              std::string_view name = {});
  /// Another template with the special tokens of a model.
  static ChatTemplate for_model(const std::filesystem::path& model, std::string_view source);

  /// Throws Error when the JSON is malformed, the template refuses the conversation, reads what is
  /// not there, or takes more steps or bytes than any template needs.
  std::string render(const ChatInput& input) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace karat
