#include "karat/chat.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/file.h"
#include "core/temporary.h"
#include "karat/error.h"

namespace karat {
namespace {
namespace fs = std::filesystem;
using nlohmann::ordered_json;

std::string render_text(const std::string& source, const ChatInput& input = {}) {
  return ChatTemplate(source).render(input);
}

std::string refusal(const std::string& source, const ChatInput& input = {}) {
  try {
    return "text: " + render_text(source, input);
  } catch (const Error& error) {
    return error.what();
  }
}

TEST_CASE("templates render as jinja2 does with transformers' settings") {
  int cases = 0;
  for (const auto& entry : fs::directory_iterator(KARAT_SOURCE_DIR "/tests/fixtures/chat")) {
    const std::string name = entry.path().filename();
    const ChatTemplate chat(read_text(entry.path() / "template.jinja"));
    for (const auto& one : ordered_json::parse(read_text(entry.path() / "cases.json"))) {
      CAPTURE(name);
      CAPTURE(cases);
      ChatInput input{.messages = one["messages"].dump(), .now = one["now"].get<std::int64_t>()};
      if (!one["tools"].is_null()) input.tools = one["tools"].dump();
      if (!one["documents"].is_null()) input.documents = one["documents"].dump();
      input.variables = one["variables"].dump();
      input.add_generation_prompt = one["add_generation_prompt"].get<bool>();
      if (one.contains("text"))
        CHECK(chat.render(input) == one["text"].get<std::string>());
      else
        CHECK_THROWS_AS(chat.render(input), Error);
      ++cases;
    }
  }
  CHECK(cases >= 30);
}

TEST_CASE("what is wrong in a template is said with its line") {
  CHECK(refusal("a\n{{ b").find("line 2: got a tag without end") != std::string::npos);
  CHECK(refusal("a\n\n{% unknown %}").find("line 3: got 'unknown'") != std::string::npos);
  CHECK(refusal("{% if x %}a").find("expected 'endif'") != std::string::npos);
  CHECK(refusal("{{ x | nofilter }}").find("'nofilter'") != std::string::npos);
  CHECK(refusal("\n{{ raise_exception('roles alternate') }}").find("line 2") != std::string::npos);
  CHECK(refusal("{{ x.y }}").find("'x', which is undefined") != std::string::npos);
  CHECK(refusal("{{ 'a' + 1 }}").find("str and int") != std::string::npos);
  CHECK(refusal("{% break %}").find("in a loop") != std::string::npos);
}

TEST_CASE("a hostile template ends") {
  const std::string many =
      "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}"
      "{% endfor %}";
  CHECK(refusal(many).find("steps") != std::string::npos);
  CHECK(refusal("{% set n = namespace(s='aaaaaaaa') %}{% for i in range(90) %}"
                "{% set n.s = n.s + n.s %}{% endfor %}")
            .find("bytes") != std::string::npos);
  CHECK(refusal("{{ 'ab' * 99999999999 }}").find("too long") != std::string::npos);
  CHECK(refusal("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").find("macros") !=
        std::string::npos);
  CHECK(refusal("{% set n = namespace(s=[]) %}{% for i in range(9999) %}{% set n.s = [n.s] %}"
                "{% endfor %}")
            .find("200 deep") != std::string::npos);
  std::string nested(5002, '{');
  nested.replace(2, 5000, 5000, '(').append("1").append(5000, ')').append("}}");
  CHECK(refusal(nested).find("nested") != std::string::npos);
  CHECK(refusal("{% set n = namespace() %}{% set n.n = n %}x") == "text: x");
}

TEST_CASE("a model's own template") {
  const TemporaryFolder temporary;
  const fs::path folder = temporary.path;
  write_file(folder / "config.json", "{}");
  CHECK(!ChatTemplate::of_model(folder));
  write_file(folder / "tokenizer_config.json",
             R"({"bos_token": {"content": "<s>"}, "chat_template": [
                 {"name": "default", "template": "{{ bos_token }}plain"},
                 {"name": "tool_use", "template": "tools"}]})");
  CHECK(ChatTemplate::of_model(folder)->render({}) == "<s>plain");
  CHECK(ChatTemplate::of_model(folder, "tool_use")->render({}) == "tools");
  CHECK_THROWS_WITH(ChatTemplate::of_model(folder, "rag"),
                    "chat template: got rag, expected default, tool_use");
  write_file(folder / "chat_template.jinja", "file");
  CHECK(ChatTemplate::of_model(folder)->render({}) == "file");
}

}  // namespace
}  // namespace karat
