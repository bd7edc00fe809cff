#include "task/boxes.h"

#include <doctest/doctest.h>

#include "task/generate.h"

namespace karat {
namespace {

// Answers in the notations that the Qwen-VL family's reports and cookbooks show.
TEST_CASE("boxes are read from the notations of the Qwen-VL family") {
  const BoxRules thousandths{false, true}, pixels{false, false};
  const Box half{0, 0, 320, 240};  // of a picture of 640 x 480: thousandths 0, 0, 500, 500
  CHECK(find_box("<ref>the dog</ref><box>(0,0),(500,500)</box>", pixels, 640, 480) == half);
  CHECK(
      find_box("<|object_ref_start|>a dog<|object_ref_end|><|box_start|>(0,0),(500,500)<|box_end|>",
               pixels, 640, 480) == half);
  CHECK(find_box("```json\n[\n\t{\"bbox_2d\": [0, 0, 320, 240], \"label\": \"dog\"}\n]\n```",
                 pixels, 640, 480) == half);
  CHECK(find_box("[{\"bbox_2d\": [0, 0, 500, 500], \"label\": \"dog\"}]", thousandths, 640, 480) ==
        half);
  CHECK(find_box("(0, 0), (500, 500)", thousandths, 640, 480) == half);
  CHECK(find_box("It is at [0, 0, 320.0, 240.0].", pixels, 640, 480) == half);
}

TEST_CASE("the first box counts, and a marked one before others") {
  const BoxRules pixels{false, false};
  CHECK(find_box("(1,2),(3,4) then (5,6),(7,8)", pixels, 10, 10) == Box{1, 2, 3, 4});
  CHECK(find_box("[1,1,2,2] <box>(100,200),(300,400)</box>", pixels, 10, 10) == Box{1, 2, 3, 4});
  for (const char* text : {"", "no box", "(1,2)", "<box>(1,2),(3)</box>", "[1,2,3]", "[1,2,3,4,5]",
                           "{\"bbox_2d\": [1, 2, \"x\", 4]}"})
    CHECK(!find_box(text, pixels, 10, 10));
}

TEST_CASE("intersection over union") {
  const Box a{0, 0, 2, 2};
  CHECK(intersection_over_union(a, a) == 1);
  CHECK(intersection_over_union(a, {1, 0, 3, 2}) == doctest::Approx(1.0 / 3));
  CHECK(intersection_over_union(a, {0, 0, 2, 1}) == 0.5);  // counts as right
  CHECK(intersection_over_union(a, {2, 0, 4, 2}) == 0);
  CHECK(intersection_over_union(a, {2, 2, 0, 0}) == 0);  // corners the wrong way round: no area
}

GenerationRules gsm8k() {
  return find_task("gsm8k").generation;
}

TEST_CASE("answers are found and compared as lm-evaluation-harness does") {
  const GenerationRules rules = gsm8k();
  const AnswerFinder finder(rules, "t");
  const auto right = [&](const std::string& response, const std::string& target) {
    const auto answers = finder.find(response, target);
    REQUIRE(answers.size() == 2);
    CHECK(answers[0].name == "strict-match");
    CHECK(answers[1].name == "flexible-extract");
    return std::pair(answers[0].right, answers[1].right);
  };
  const std::string target = "9 + 9 = 18\n#### 18";
  CHECK(right(" 9 * 2 = 18.\n#### 18", target) == std::pair(true, true));
  CHECK(right(" So it is $18.", target) == std::pair(false, true));
  CHECK(right(" #### 17, or 18", target) == std::pair(false, true));
  CHECK(right(" nothing", target) == std::pair(false, false));
  CHECK(right("#### 1,800", "#### 1800") == std::pair(true, true));
  CHECK(right("#### -3", "#### -3") == std::pair(true, true));
}

}  // namespace
}  // namespace karat
