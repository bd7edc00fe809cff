#include "task/text.h"

#include <doctest/doctest.h>

#include "karat/error.h"
#include "load/characters.h"
#include "load/testing.h"
#include "task/pattern.h"
#include "task/template.h"

namespace karat {
namespace {

using nlohmann::json;
using testing::error_of;

// What is expected of text functions is what Python 3.11's str methods return.
TEST_CASE("white space is Python's") {
  CHECK(without_space(" \t\u00a0\u2003a b\u3000\n\x1c") == "a b");
  CHECK(without_trailing_space("  a \u2028") == "  a");
  CHECK(without_space(" \u0085 ").empty());
  CHECK(without_space("\u200ba\u200b") == "\u200ba\u200b");  // zero width: no space
}

TEST_CASE("lengths count code points, cases follow Unicode") {
  CHECK(code_points("a\u00e9\u4e2d\U0001f600") == 4);
  CHECK(capitalized("\u00e9COLE Du SOIR") == "\u00c9cole du soir");
  CHECK(capitalized("").empty());
  CHECK(lower_first("The END") == "the END");
  CHECK(without_last("caf\u00e9") == "caf");
}

TEST_CASE("HellaSwag's marks go as in lm-evaluation-harness") {
  CHECK(without_wikihow_marks(" How to tie [title] Take it [step] Pull  it. ") ==
        "How to tie. Take it Pull it.");
  CHECK(without_wikihow_marks("a [b] c [d") == "a c [d");
  CHECK(without_wikihow_marks("a [b\nc] d [e] f") == "a [b\nc] d f");
  CHECK(without_wikihow_marks("x   y") == "x  y");  // pairs of blanks, once, from the left
  CHECK(without_wikihow_marks("[[x]]") == "]");
}

const json kRow{{"goal", " walk "}, {"list", {"x", "y"}}, {"deep", {{"label", {"A", "B"}}}},
                {"n", 2},           {"key", "B"},         {"s", "a _ is _ b"}};

TEST_CASE("templates fill in fields and pass them through filters") {
  const auto render = [](std::string_view text) { return Template(text, "t").render(kRow, "row"); };
  CHECK(render("Q: {goal|strip}, {n}{{}}") == "Q: walk, 2{}");
  CHECK(render("{s|before:_}+{s|after:_|strip}") == "a +is _ b");
  CHECK(render("{s|before_last: }|{s|after_last: }") == "a _ is _|b");
  CHECK(render("{n|map:1=one,2=two}") == "two");
  CHECK(render("{key|index_in:deep.label}") == "1");
  CHECK(Template(" {list}{n}", "t").render_each(kRow, "row") ==
        std::vector<std::string>{" x2", " y2"});
  CHECK(Template("{goal}{deep.label}", "t").fields() == std::vector<std::string>{"goal", "deep"});
  Template whole("{goal}{goal}", "t");
  whole.then("strip", "t");
  CHECK(whole.render(kRow, "row") == "walk  walk");
}

TEST_CASE("templates say what is wrong") {
  const auto says = [](std::string_view text) {
    return error_of([&] { Template(text, "task x").render(kRow, "data:3"); });
  };
  CHECK(says("{goal") == "task x: got { without }, expected {field}; {{ stands for a brace");
  CHECK(says("goal}").find("} without {") != std::string::npos);
  CHECK(says("{goal|shout}").find("the filter \"shout\", expected one of after, ") !=
        std::string::npos);
  CHECK(says("{nothing}") == "data:3: got no field \"nothing\", expected a row that has it");
  CHECK(says("{list}").find("a field that is array") != std::string::npos);
  CHECK(says("{n|map:3=x}").find("\"2\", expected a value among 3=x") != std::string::npos);
  CHECK(says("{goal|index_in:deep.label}").find("one of the values of deep.label") !=
        std::string::npos);
}

// Expected: what Python's re.findall and re.sub return.
TEST_CASE("patterns find and remove what Python's re does") {
  using Found = std::vector<std::vector<std::string>>;
  CHECK(Pattern("[a-z]+", "t").find_all("ab 1 c") == Found{{"ab"}, {"c"}});
  CHECK(Pattern("(\\d)(x)?", "t").find_all("1x2") == Found{{"1", "x"}, {"2", ""}});
  CHECK(Pattern("\\.$", "t").removed_from("1.5.") == "1.5");
  CHECK(Pattern("(?s).*#### ", "t").removed_from("so\n#### it\n#### 12") == "12");
  CHECK(Pattern("x*", "t").removed_from("axxb") == "ab");
  CHECK(error_of([] { Pattern("(", "task x"); }).find("task x: got the pattern (") == 0);
}

}  // namespace
}  // namespace karat
