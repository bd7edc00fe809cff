#include "karat/chat.h"

#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "chat/parser.h"
#include "karat/error.h"
#include "load/json.h"
#include "load/model_files.h"

namespace karat {
namespace fs = std::filesystem;
using nlohmann::json;

struct ChatTemplate::Impl {
  Statement run;
  DatumDict tokens = {};  // special ones, by role
};

namespace {
constexpr std::size_t kLongest = 1 << 22;  // bytes of a template

nlohmann::ordered_json ordered(const std::string& text, const std::string& what) {
  parse_json(text, what);  // its depth is bounded, its errors are ours
  return nlohmann::ordered_json::parse(text);
}

json tokenizer_config(const fs::path& model) {
  const std::string text = model_text(model, "tokenizer_config.json");
  json config = text.empty() ? json::object() : parse_json(text, "tokenizer_config.json");
  if (!config.is_object()) fail("tokenizer_config.json", config.type_name(), "an object");
  return config;
}

/// What tokenizer_config.json says of a role: a text, or an added token's object.
DatumDict special_tokens(const json& config) {
  DatumDict out;
  for (const auto& [key, value] : config.items()) {
    const json content = value.is_object() ? value.value("content", json()) : value;
    if (key.ends_with("_token") && content.is_string())
      out.emplace_back(key, Datum{content.get<std::string>()});
  }
  return out;
}

/// The template of that name in a list of named ones, or the only one.
std::optional<std::string> chosen(const json& held, const std::string& name) {
  if (held.is_string() && (name.empty() || name == "default")) return held.get<std::string>();
  if (held.is_null()) return std::nullopt;
  std::string names;
  for (const json& one : held.is_array() ? held : json::array()) {
    if (!one.is_object() || !one.value("name", json()).is_string()) continue;
    const auto called = one["name"].get<std::string>();
    const json text = one.value("template", json());
    if (called == (name.empty() ? "default" : name) && text.is_string())
      return text.get<std::string>();
    names += (names.empty() ? "" : ", ") + excerpt(called);
  }
  fail("chat template", name.empty() ? "no template named default" : excerpt(name),
       names.empty() ? "default" : names);
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source) {
  if (source.size() > kLongest)
    fail("chat template", fmt::format("{} bytes", source.size()),
         fmt::format("at most {}", kLongest));
  impl_ = std::make_shared<const Impl>(Impl{TemplateParser(source).whole()});
}

std::optional<ChatTemplate> ChatTemplate::of_model(const fs::path& model, std::string_view name) {
  std::optional<std::string> source;
  const std::string own = model_text(model, "chat_template.jinja");
  if (!own.empty() && (name.empty() || name == "default"))
    source = own;
  else
    source = chosen(tokenizer_config(model).value("chat_template", json()), std::string(name));
  if (!source) return std::nullopt;
  return for_model(model, *source);
}

ChatTemplate ChatTemplate::for_model(const fs::path& model, std::string_view source) {
  ChatTemplate out(source);
  out.impl_ =
      std::make_shared<const Impl>(Impl{out.impl_->run, special_tokens(tokenizer_config(model))});
  return out;
}

std::string ChatTemplate::render(const ChatInput& input) const {
  std::string text;
  TemplateState state;
  state.out = &text;
  state.now = input.now ? *input.now : static_cast<std::int64_t>(std::time(nullptr));
  TemplateScope& scope = state.inner(nullptr);
  add_globals(scope);
  for (const auto& [key, value] : impl_->tokens) scope.values[key] = value;
  const Datum none{Datum::None{}};
  const auto given = [&](const std::string& json, const char* name) {
    return json.empty() ? none : datum_of(ordered(json, name));
  };
  scope.values["messages"] = given(input.messages, "messages");
  scope.values["tools"] = given(input.tools, "tools");
  scope.values["documents"] = given(input.documents, "documents");
  scope.values["add_generation_prompt"] = {input.add_generation_prompt};
  const Datum more = given(input.variables, "variables");
  if (more.dict())
    for (const auto& [key, value] : *more.dict()) scope.values[key] = value;
  try {
    impl_->run(scope);
  } catch (const Error& error) {
    throw Error(fmt::format("chat template, line {}: {}", state.line, error.what()));
  }
  return text;
}

}  // namespace karat
