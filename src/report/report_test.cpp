#include "karat/report.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "load/testing.h"
#include "report/chart.h"
#include "report/html.h"
#include "report/layer_name.h"

namespace karat::report {
namespace {

using nlohmann::json;
using testing::error_of;
using testing::TempFolder;

std::string page_of(const TempFolder& folder) {
  const std::filesystem::path path = folder.path();
  return report_html({&path, 1});
}

TEST_CASE("ticks are round, inside the scale and few") {
  for (const bool log : {false, true})
    for (const double least : {0.0011, 0.9, 2.4, 53.0})
      for (const double ratio : {1.0001, 1.05, 2.0, 1000.0}) {
        CAPTURE(least);
        CAPTURE(ratio);
        const Scale scale = scale_around(least, least * ratio, 300, 20, log);
        const auto all = ticks(scale, 8);
        CHECK(all.size() >= 2);
        CHECK(all.size() <= 9);
        std::string before;
        for (const Tick& tick : all) {
          CHECK(tick.value >= scale.low - 1e-9 * std::abs(scale.low));
          CHECK(tick.value <= scale.high * (1 + 1e-9));
          CHECK(std::abs(std::stod(tick.label) - tick.value) <= 1e-6 * std::abs(tick.value));
          CHECK(tick.label != before);
          before = tick.label;
        }
        CHECK(scale.at(scale.low) == doctest::Approx(300));
        CHECK(scale.at(scale.high) == doctest::Approx(20));
      }
}

TEST_CASE("numbers are told to the digits that count") {
  CHECK(short_number(53.7123) == "53.71");
  CHECK(short_number(0.001234567) == "0.001235");
  CHECK(short_number(1.2e-7, 2) == "1.2e-07");
  CHECK(short_number(0) == "0");
  CHECK(with_error(53.7123, 1.0832) == "53.7 ± 1.1");
  CHECK(with_error(0.0172, 0.00034) == "0.01720 ± 0.00034");
  CHECK(with_error(3, 0) == "3.000");
}

TEST_CASE("layer names") {
  CHECK(split_layer_name("model.layers.12.self_attn.q_proj").block == 12);
  CHECK(split_layer_name("model.layers.12.self_attn.q_proj").kind == "self_attn.q_proj");
  CHECK(split_layer_name("h.0.attn.c_proj").kind == "attn.c_proj");
  CHECK(split_layer_name("lm_head").block == -1);
  CHECK(split_layer_name("a.99999999999999999999.b").block == -1);
  CHECK(short_kind("self_attn.q_proj") == "q");
  CHECK(short_kind("attn.c_proj") != short_kind("mlp.c_proj"));
  CHECK(short_kind("lm_head") == "lm_head");
}

json compare_report() {
  json rows = json::array();
  const auto add = [&](const std::string& name, const char* kind, double bits, json kl) {
    rows.push_back({{"name", name},
                    {"kind", kind},
                    {"bits_per_weight", bits},
                    {"perplexity", {{"mean", 50 + 10 / bits}, {"standard_error", 1.0}}},
                    {"kl", kl}});
  };
  add("original", "original", 16, nullptr);
  add("rtn 4 bits", "uniform", 4.25, {{"mean", 0.02}, {"standard_error", 0.001}});
  for (int i = 0; i < 12; ++i)
    add("a method with a long name " + std::to_string(i), "method", 4.25 + i * 1e-4,
        {{"mean", 0.004 + i * 1e-5}, {"standard_error", 0.0005}});
  return {{"model", "m"},       {"rows", rows},  {"machine", json::object()},
          {"convention", "hf"}, {"tokens", 100}, {"text", {{"file", "t.txt"}, {"sha256", "ab"}}}};
}

/// The boxes of the texts of one class in the first drawing of a kind.
std::vector<Box> boxes(const std::string& page, const std::string& drawing,
                       const std::string& kind) {
  const std::size_t begin = page.find("<svg class=\"" + drawing + "\"");
  REQUIRE(begin != page.npos);
  const std::string svg = page.substr(begin, page.find("</svg>", begin) - begin);
  std::vector<Box> found;
  for (std::size_t at = 0; (at = svg.find("<text x=\"", at)) != svg.npos; ++at) {
    const std::string text = svg.substr(at, svg.find("</text>", at) - at);
    if (text.find("class=\"" + kind + "\"") == text.npos) continue;
    const double x = std::stod(text.substr(9)), y = std::stod(text.substr(text.find(" y=\"") + 4));
    const double width = text_width(text.substr(text.find('>') + 1));
    const double left = text.find("\"start\"") != text.npos    ? 0
                        : text.find("\"middle\"") != text.npos ? width / 2
                                                               : width;
    found.push_back({x - left, y - 10, width, 12});
  }
  return found;
}

TEST_CASE("labels and tick labels of the plots do not overlap, marks are all there") {
  const TempFolder folder;
  folder.write("compare.json", compare_report().dump());
  const std::string page = page_of(folder);
  for (const char* drawing : {"wide", "narrow"})
    for (const char* kind : {"label", "faint"}) {
      const auto all = boxes(page, drawing, kind);
      CHECK(all.size() >= 5);
      for (std::size_t i = 0; i < all.size(); ++i)
        for (std::size_t k = 0; k < i; ++k) CHECK(!all[i].meets(all[k]));
    }
  std::size_t circles = 0;
  for (std::size_t at = 0; (at = page.find("<circle class=\"method\"", at)) != page.npos; ++at)
    ++circles;
  CHECK(circles == 12 * 4);  // KL and perplexity, wide and narrow
}

TEST_CASE("texts of files are escaped wherever they are shown") {
  const std::string evil = "<script>alert('&\"')</script>";
  json compare = compare_report();
  compare["rows"][1]["name"] = evil;
  compare["text"]["file"] = evil;
  compare["convention"] = evil;
  const json quantize = {{"model", evil},
                         {"recipe", {{"method", evil}}},
                         {"tensors",
                          {{{"name", evil + ".0." + evil}, {"bits", 3}, {"rule", evil}},
                           {{"name", "b.1." + evil}, {"bits", 4}}}}};
  const json measure = {
      {"model", evil}, {"metric", evil}, {"tensors", {{{"name", evil}, {"mean", 2}}}}};
  const json tasks = {
      {"model", evil},
      {"results",
       {{{"task", evil}, {"metrics", {{evil, {{"value", 0.5}, {"standard_error", 0.1}}}}}}}}};
  const TempFolder folder;
  folder.write("karat_report.json", quantize.dump());
  folder.write("a.json", compare.dump());
  folder.write("b.json", measure.dump());
  folder.write("c.json", tasks.dump());
  const std::string page = page_of(folder);
  CHECK(page.find("<script") == page.npos);
  CHECK(page.find("&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;") != page.npos);
}

TEST_CASE("evaluations group by text and convention, and tasks show their pairs") {
  const TempFolder folder;
  const auto evaluation = [](const char* convention, const char* hash) {
    return json{
        {"model", "q"},       {"text", "t"},         {"text_sha256", hash},     {"tokens", 9},
        {"perplexity", 7.25}, {"standard_error", 1}, {"convention", convention}};
  };
  folder.write("1.json", evaluation("hf", "a").dump());
  folder.write("2.json", json{{"model", "q"},
                              {"text", "t"},
                              {"text_sha256", "a"},
                              {"evaluations", {evaluation("hf", ""), evaluation("strided", "")}}}
                             .dump());
  const json result = {{"task", "piqa"},
                       {"metrics", {{"acc", {{"value", 0.75}, {"standard_error", 0.04}}}}}};
  folder.write("3.json", json{{"model", "q"},
                              {"results", {result}},
                              {"against", {{"model", "o"}, {"results", {result}}}},
                              {"paired",
                               {{{"task", "piqa"},
                                 {"metric", "acc"},
                                 {"difference", -0.02},
                                 {"standard_error", 0.01},
                                 {"mcnemar", {{"p_value", 0.25}}}}}}}
                             .dump());
  const std::string page = page_of(folder);
  std::size_t groups = 0;
  for (std::size_t at = 0; (at = page.find("<h3>t, convention", at)) != page.npos; ++at) ++groups;
  CHECK(groups == 2);
  CHECK(page.find("0.750 ± 0.040") != page.npos);
  CHECK(page.find("-0.020 ± 0.010, McNemar p 0.25") != page.npos);
}

TEST_CASE("odd reports are shown as far as they go, and none at all is an error") {
  const TempFolder folder;
  CHECK(error_of([&] { page_of(folder); }).find("no report") != std::string::npos);
  folder.write("other.json", R"({"something": 1})");
  CHECK(error_of([&] { page_of(folder); }).find("no report") != std::string::npos);
  folder.write("odd.json", R"({"model": 3, "perplexity": "x", "kl": [], "tokens": null})");
  folder.write("karat_report.json",
               R"({"recipe": [], "tensors": [1, {}, {"name": 2, "bits": 1e400}]})");
  CHECK(error_of([&] { page_of(folder); }).find("karat_report.json") !=
        std::string::npos);  // 1e400
  folder.write("karat_report.json",
               R"({"recipe": [], "tensors": [1, {}, {"name": 2, "bits": null}]})");
  CHECK(page_of(folder).find("</html>") != std::string::npos);
  folder.write("broken.json", "{");
  CHECK(error_of([&] { page_of(folder); }).find("broken.json") != std::string::npos);
  const std::filesystem::path nowhere = folder / "nowhere";
  CHECK(error_of([&] { report_html({&nowhere, 1}); }).find("no folder") != std::string::npos);
  CHECK(error_of([] { report_html({}); }).find("at least one") != std::string::npos);
}

}  // namespace
}  // namespace karat::report
