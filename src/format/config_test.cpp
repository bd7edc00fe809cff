// quantization_config as it is written, and as a hostile or newer file may present it.
#include <doctest/doctest.h>

#include "karat/error.h"
#include "karat/packed.h"

using namespace karat;

namespace {

std::string config(const std::string& fields, const std::string& layout_fields = "",
                   const std::string& layers = "[\"a\"]") {
  const std::string layout = layout_fields.empty() ? "\"grid\":\"uniform\",\"bits\":3,\"group\":16,"
                                                     "\"symmetric\":false,\"bilevel\":true"
                                                   : layout_fields;
  return "{\"model_type\":\"llama\",\"quantization_config\":{" +
         (fields.empty() ? "\"quant_method\":\"karat\",\"format\":\"karat-packed\","
                           "\"format_version\":1"
                         : fields) +
         ",\"method\":\"gwq\",\"layouts\":[{" + layout + ",\"layers\":" + layers + "}]}}";
}

void config_refused(const std::string& text, const char* message) {
  CHECK_THROWS_WITH_AS(parse_quantization(text), doctest::Contains(message), Error);
}

}  // namespace

TEST_CASE("quantization_config survives the round trip, layers grouped by layout") {
  const PackedLayout bilevel{.variant = "bilevel", .bits = 3, .group = 16};
  const PackedLayout rows{.bits = 8, .group = 0, .symmetric = true};
  const QuantizationConfig written{"gwq", {{"a", bilevel}, {"b \"x\"", rows}, {"c", bilevel}}};
  const std::string json = quantization_json(written);
  CHECK(json ==
        R"({"quant_method":"karat","format":"karat-packed","format_version":1,"method":"gwq",)"
        R"("layouts":[{"grid":"uniform","bits":3,"group":16,"symmetric":false,"bilevel":true,)"
        R"("layers":["a","c"]},{"grid":"uniform","bits":8,"group":0,"symmetric":true,)"
        R"("bilevel":false,"layers":["b \"x\""]}]})");
  const auto read = parse_quantization("{\"quantization_config\":" + json + "}");
  REQUIRE(read.has_value());
  CHECK(read->method == "gwq");
  CHECK(read->layers == written.layers);
}

TEST_CASE("a folder with another grid is of version 2, with the keys that its grids have") {
  const PackedLayout nf4{.format = "nf4", .bits = 4, .group = 128};
  const PackedLayout daq{.format = "e2m1-daq", .bits = 4, .group = 0, .symmetric = true};
  const PackedLayout lut{.format = "lut", .bits = 3, .group = 0};
  const PackedLayout uniform{.bits = 4, .group = 128};
  const QuantizationConfig written{
      "daq", {{"a", nf4}, {"b", lut}, {"c", uniform}, {"d", daq}, {"e", nf4}}};
  const std::string json = quantization_json(written);
  CHECK(json ==
        R"({"quant_method":"karat","format":"karat-packed","format_version":2,"method":"daq",)"
        R"("layouts":[{"grid":"nf4","bits":4,"group":128,"symmetric":false,"layers":["a","e"]},)"
        R"({"grid":"lut","bits":3,"group":0,"layers":["b"]},)"
        R"({"grid":"uniform","bits":4,"group":128,"symmetric":false,"bilevel":false,)"
        R"("layers":["c"]},)"
        R"({"grid":"e2m1-daq","bits":4,"group":0,"symmetric":true,"layers":["d"]}]})");
  const auto read = parse_quantization("{\"quantization_config\":" + json + "}");
  REQUIRE(read.has_value());
  CHECK(read->layers == written.layers);
}

TEST_CASE("version 2 layouts that are wrong, or in a version 1 folder") {
  const std::string two =
      "\"quant_method\":\"karat\",\"format\":\"karat-packed\",\"format_version\":2";
  const auto layout = [](const char* grid, const char* rest) {
    return "\"grid\":\"" + std::string(grid) + "\"," + rest;
  };
  const char *lut = "\"bits\":3,\"group\":0", *list = "\"bits\":4,\"group\":64,\"symmetric\":true";
  CHECK(parse_quantization(config(two))->layers.size() == 1);
  CHECK(parse_quantization(config(two, layout("lut", lut)))->layers.at("a").bits == 3);
  CHECK(parse_quantization(config(two, layout("fp4", list)))->layers.at("a").symmetric);
  config_refused(config("", layout("lut", lut)), "grid lut in format version 1");
  config_refused(config("", layout("fp4", list)), "grid fp4 in format version 1");
  config_refused(config(two, layout("e8", lut)), "upgrade karat");
  config_refused(config(two, layout("nf4", lut)), "no \"symmetric\"");
  config_refused(config(two, layout("lut", list)), "\"symmetric\" in a layout of grid lut");
  config_refused(
      config(two, layout("nf4", "\"bits\":4,\"group\":0,\"symmetric\":true,\"bilevel\":true")),
      "\"bilevel\" in a layout of grid nf4");
  config_refused(config(two, layout("nf4", "\"bits\":3,\"group\":0,\"symmetric\":true")),
                 "got 3 bits");
  config_refused(config(two, layout("lut", "\"bits\":8,\"group\":0")), "got 8 bits");
}

TEST_CASE("a folder with a trellis or a rotation is of version 3") {
  const PackedLayout trellis{.format = "trellis", .variant = "3inst", .bits = 2, .group = 0};
  const PackedLayout rotated{.format = "trellis",
                             .variant = "1mad",
                             .bits = 2,
                             .group = 0,
                             .input_scales = true,
                             .rotation = 0};
  const PackedLayout uniform{.bits = 4, .group = 128, .rotation = 0x7fffffff};
  const QuantizationConfig written{"qtip", {{"a", trellis}, {"b", rotated}, {"c", uniform}}};
  const std::string json = quantization_json(written);
  CHECK(json ==
        R"({"quant_method":"karat","format":"karat-packed","format_version":3,"method":"qtip",)"
        R"("layouts":[{"grid":"trellis","code":"3inst","bits":2,"layers":["a"]},)"
        R"({"grid":"trellis","code":"1mad","bits":2,"input_scales":true,"rotation":0,)"
        R"("layers":["b"]},{"grid":"uniform","bits":4,"group":128,"rotation":2147483647,)"
        R"("symmetric":false,"bilevel":false,"layers":["c"]}]})");
  const auto read = parse_quantization("{\"quantization_config\":" + json + "}");
  REQUIRE(read.has_value());
  CHECK(read->layers == written.layers);
}

TEST_CASE("version 3 layouts that are wrong, or in an older folder") {
  const auto of_version = [](int version, const std::string& layout) {
    return config("\"quant_method\":\"karat\",\"format\":\"karat-packed\",\"format_version\":" +
                      std::to_string(version),
                  layout);
  };
  const std::string trellis = "\"grid\":\"trellis\",\"code\":\"1mad\",\"bits\":2";
  const std::string lut = "\"grid\":\"lut\",\"bits\":2,\"group\":0";
  CHECK(parse_quantization(of_version(3, trellis))->layers.at("a").group == 0);
  CHECK(parse_quantization(of_version(3, lut + ",\"rotation\":9"))->layers.at("a").rotation == 9);
  config_refused(of_version(2, trellis), "grid trellis in format version 2");
  config_refused(of_version(2, lut + ",\"rotation\":9"), "grid lut with a rotation in format");
  config_refused(of_version(kFormatVersion + 1, trellis), "upgrade karat");
  config_refused(of_version(3, trellis + ",\"group\":0"), "\"group\" in a layout of grid trellis");
  config_refused(of_version(3, lut + ",\"code\":\"1mad\""), "\"code\" in a layout of grid lut");
  config_refused(of_version(3, "\"grid\":\"trellis\",\"bits\":2"), "no \"code\"");
  config_refused(of_version(3, "\"grid\":\"trellis\",\"code\":\"hyb\",\"bits\":2"),
                 "upgrade karat");
  config_refused(of_version(3, "\"grid\":\"trellis\",\"code\":\"1mad\",\"bits\":8"), "got 8 bits");
  const std::string five = "\"grid\":\"trellis\",\"code\":\"1mad12\",\"bits\":5";
  CHECK(parse_quantization(of_version(5, five))->layers.at("a").bits == 5);
  config_refused(of_version(4, five), "grid trellis of 5 bits in format version 4");
  config_refused(of_version(3, lut + ",\"rotation\":-1"), "got -1");
  config_refused(of_version(3, lut + ",\"rotation\":2147483648"), "got 2147483648");
  config_refused(of_version(3, lut + ",\"rotation\":true"), "got true");
}

TEST_CASE("a folder with a column trellis is of version 7, and only such a folder") {
  const QuantizationConfig written{
      "karat", {{"a", {.format = "column-trellis", .bits = 4, .group = 0, .rotation = 3}}}};
  const std::string json = quantization_json(written);
  CHECK(json ==
        R"({"quant_method":"karat","format":"karat-packed","format_version":7,"method":"karat",)"
        R"("layouts":[{"grid":"column-trellis","bits":4,"rotation":3,"layers":["a"]}]})");
  const auto read = parse_quantization("{\"quantization_config\":" + json + "}");
  REQUIRE(read.has_value());
  CHECK(read->layers == written.layers);
  const auto of_version = [](int version, const std::string& layout) {
    return config("\"quant_method\":\"karat\",\"format\":\"karat-packed\",\"format_version\":" +
                      std::to_string(version),
                  layout);
  };
  const std::string column = "\"grid\":\"column-trellis\",\"bits\":";
  CHECK(parse_quantization(of_version(7, column + "5"))->layers.at("a").bits == 5);
  config_refused(of_version(6, column + "4"), "grid column-trellis in format version 6");
  config_refused(of_version(7, column + "6"), "got 6 bits");
  config_refused(of_version(7, column + "4,\"code\":\"1mad\""), "\"code\" in a layout of grid");
}

TEST_CASE("a folder with codes in blocks is of version 4, and only such a folder") {
  const PackedLayout blocks{.variant = "blocks", .bits = 3, .group = 128};
  const PackedLayout rotated{.variant = "blocks",
                             .bits = 3,
                             .group = 0,
                             .symmetric = true,
                             .input_scales = true,
                             .rotation = 1};
  const PackedLayout stream{.bits = 3, .group = 128};
  const QuantizationConfig written{"rtn", {{"a", blocks}, {"b", stream}, {"c", rotated}}};
  const std::string json = quantization_json(written);
  CHECK(json ==
        R"({"quant_method":"karat","format":"karat-packed","format_version":4,"method":"rtn",)"
        R"("layouts":[{"grid":"uniform","bits":3,"group":128,"blocks":true,"symmetric":false,)"
        R"("bilevel":false,"layers":["a"]},{"grid":"uniform","bits":3,"group":128,)"
        R"("symmetric":false,"bilevel":false,"layers":["b"]},{"grid":"uniform","bits":3,"group":0,)"
        R"("input_scales":true,"rotation":1,"blocks":true,"symmetric":true,"bilevel":false,)"
        R"("layers":["c"]}]})");
  const auto read = parse_quantization("{\"quantization_config\":" + json + "}");
  REQUIRE(read.has_value());
  CHECK(read->layers == written.layers);
  CHECK(quantization_json({"rtn", {{"b", stream}}}).find("\"format_version\":1") !=
        std::string::npos);
}

TEST_CASE("blocks that are wrong, or in an older folder") {
  const auto uniform = [](int version, const std::string& rest) {
    return config("\"quant_method\":\"karat\",\"format\":\"karat-packed\",\"format_version\":" +
                      std::to_string(version),
                  "\"grid\":\"uniform\",\"symmetric\":false," + rest);
  };
  const std::string good = "\"bits\":3,\"group\":128,\"bilevel\":false";
  const auto variant = [&](const std::string& rest) {
    return parse_quantization(uniform(4, good + rest))->layers.at("a").variant;
  };
  CHECK(variant(",\"blocks\":true") == "blocks");
  CHECK(variant(",\"blocks\":false").empty());
  CHECK(variant("").empty());
  config_refused(uniform(3, good + ",\"blocks\":true"),
                 "grid uniform in blocks in format version 3");
  config_refused(uniform(4, good + ",\"blocks\":1"), "got 1, expected true or false");
  config_refused(uniform(4, "\"bits\":4,\"group\":128,\"bilevel\":false,\"blocks\":true"),
                 "codes of 4 bits in blocks");
  config_refused(uniform(6, "\"bits\":3,\"group\":20,\"bilevel\":false,\"blocks\":true"),
                 "groups of 20");
  config_refused(
      config("\"quant_method\":\"karat\",\"format\":\"karat-packed\",\"format_version\":4",
             "\"grid\":\"lut\",\"bits\":3,\"group\":0,\"blocks\":true"),
      "\"blocks\" in a layout of grid lut");
}

TEST_CASE("blocks of smaller groups, or with bilevel statistics, need version 6") {
  for (const PackedLayout& layout :
       {PackedLayout{.variant = "blocks", .bits = 3, .group = 32},
        PackedLayout{.variant = "bilevel blocks", .bits = 3, .group = 16},
        PackedLayout{.variant = "bilevel blocks", .bits = 3, .group = 128}}) {
    const std::string json = quantization_json({"gwq", {{"a", layout}}});
    CHECK(json.find("\"format_version\":6") != std::string::npos);
    CHECK(json.find("\"blocks\":true") != std::string::npos);
    CHECK(parse_quantization("{\"quantization_config\":" + json + "}")->layers.at("a") == layout);
    std::string older = json;
    older.replace(older.find("version\":6"), 10, "version\":4");
    config_refused("{\"quantization_config\":" + older + "}",
                   "grid uniform in blocks of smaller groups in format version 4");
  }
}

TEST_CASE("codes of 5 and 6 bits need version 6, in a stream or in blocks") {
  for (const int bits : {5, 6})
    for (const char* variant : {"", "blocks"}) {
      const PackedLayout layout{.variant = variant, .bits = bits, .group = 128};
      const std::string json = quantization_json({"rtn", {{"a", layout}}});
      CHECK(json.find("\"format_version\":6") != std::string::npos);
      CHECK(parse_quantization("{\"quantization_config\":" + json + "}")->layers.at("a") == layout);
    }
  config_refused(
      config("\"quant_method\":\"karat\",\"format\":\"karat-packed\",\"format_version\":5",
             "\"grid\":\"uniform\",\"bits\":6,\"group\":128,\"symmetric\":false,\"bilevel\":false"),
      "grid uniform of 6 bits in format version 5");
}

TEST_CASE("an unquantized config.json has no quantization_config") {
  CHECK_FALSE(parse_quantization("{\"model_type\":\"llama\"}").has_value());
  CHECK_FALSE(parse_quantization("{\"quantization_config\":null}").has_value());
  CHECK(parse_quantization(config(""))->layers.size() == 1);
}

TEST_CASE("quantization_config of another tool, of the future, or wrong") {
  const std::string karat = "\"quant_method\":\"karat\",\"format\":\"karat-packed\"";
  config_refused(config("\"quant_method\":\"gptq\""), "expected \"karat\"");
  const std::string next = std::to_string(kFormatVersion + 1);
  config_refused(config(karat + ",\"format_version\":" + next), "upgrade karat");
  config_refused(config(karat + ",\"format_version\":0"), "format version 0");
  config_refused(config(karat + ",\"format_version\":1.5"), "got 1.5");
  config_refused(config(karat), "no \"format_version\"");
  config_refused(config("\"quant_method\":\"karat\",\"format\":\"karat-trellis\","
                        "\"format_version\":1"),
                 "upgrade karat");
  const std::string flags = ",\"symmetric\":false,\"bilevel\":false";
  config_refused(config("", "\"grid\":\"nf5\""), "upgrade karat");
  config_refused(config("", "\"grid\":\"uniform\",\"bits\":7,\"group\":16" + flags), "got 7 bits");
  config_refused(config("", "\"grid\":\"uniform\",\"bits\":3,\"group\":-1" + flags), "group -1");
  config_refused(config("", "\"grid\":\"uniform\",\"bits\":4294967299,\"group\":1" + flags),
                 "got 4294967299");
  config_refused(config("", "\"grid\":\"uniform\",\"bits\":3,\"group\":16,\"bilevel\":1"),
                 "symmetric");
  config_refused(config("", "\"grid\":\"uniform\",\"bits\":3,\"group\":16,\"rotated\":1" + flags),
                 "\"rotated\"");
  config_refused(config("", "", "[\"a\",\"a\"]"), "twice");
  config_refused(config("", "", "[7]"), "got 7");
  config_refused(config("", "", "\"a\""), "an array of layer names");
  for (const char* text : {"", "[]", "{", "{\"quantization_config\":[]}", "\xff\xfe"})
    CHECK_THROWS_AS(parse_quantization(text), Error);
}

TEST_CASE("nesting deeper than any stack is refused or read, never a crash") {
  const std::string deep = std::string(1000000, '[') + std::string(1000000, ']');
  config_refused("{\"quantization_config\":" + deep + "}", "quantization_config");
  config_refused("{\"quantization_config\":{\"quant_method\":" + deep + "}}", "a string");
}
