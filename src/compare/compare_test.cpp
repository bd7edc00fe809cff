#include "karat/compare.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "compare/sizes.h"
#include "compare/views.h"
#include "core/file.h"
#include "core/temporary.h"
#include "karat/error.h"
#include "pipeline/testing.h"

using namespace karat;
namespace fs = std::filesystem;

namespace {

CompareRun run_of(std::optional<std::int64_t> seed, double bits, double perplexity, double kl) {
  CompareRun run{.seed = seed, .bits = bits, .file_bits = bits + 1, .seconds = 2};
  run.evaluation.perplexity = {perplexity, 0.25, 3};
  if (kl > 0) run.evaluation.divergence.emplace();
  if (kl > 0)
    run.evaluation.divergence->mean = kl, run.evaluation.divergence->standard_error = 0.001;
  return run;
}

/// Two seeds of a method called as nobody should, and the plain rounding of its size.
CompareReport small_report() {
  CompareReport report{.model = "a <model> & more", .text = "t.txt", .text_sha256 = "ab"};
  report.seeds = 2;
  CompareRow original{.kind = CompareRow::Kind::original, .name = "original"};
  original.runs = {run_of({}, 16, 20, 0)};
  CompareRow method{.name = "\"x\" <b>", .code_bits = 3, .uniform = "uniform 3 bits g40"};
  method.vs_uniform = 0.5;
  method.runs = {run_of(1, 3.9, 21, 0.02), run_of(2, 3.9, 23, 0.04)};
  CompareRow uniform{.kind = CompareRow::Kind::uniform, .name = "uniform 3 bits g40"};
  uniform.runs = {run_of({}, 3.8, 25, 0.06)};
  report.rows = {original, method, uniform};
  return report;
}

/// Bits as quantize() counts them, of a recipe that reads no text.
double counted_bits(const fs::path& folder, const std::string& method, const Overrides& overrides) {
  return quantize({.model = model_folder(folder / "model", "llama3"),
                   .out = folder / "out",
                   .replace = true,
                   .method = method,
                   .overrides = overrides})
      .layer_bits;
}

}  // namespace

TEST_CASE("predicted bits are those of the file") {
  TemporaryFolder temporary;
  const Architecture arch = read_architecture(kFamilies / "llama3");
  const auto check = [&](const std::string& method, const Overrides& overrides) {
    CAPTURE(method);
    CAPTURE(overrides.grid);
    const Assembled made = assemble(find_method(method), overrides);
    CHECK(predicted_bits(arch, size_of(made)) ==
          doctest::Approx(counted_bits(temporary.path, method, overrides)));
  };
  for (const Recipe& method : all_methods())
    if (!assemble(method).needs().any()) check(method.name, {});
  for (const char* grid : {"uniform:bits=3,group=5", "uniform:bits=2,group=16,bilevel=1",
                           "uniform:bits=8,group=0,symmetric=1", "uniform:bits=4,group=1000"})
    check("rtn", {.grid = grid});
  for (const char* selector : {"top:0.03", "top:0.1,scope=row"})
    check("rtn", {.metric = "magnitude", .selector = selector});
}

TEST_CASE("what a rotated trellis will take is known beforehand") {
  TemporaryFolder temporary;
  for (const char* bits : {"2", "3", "4"}) {
    const Overrides overrides{.solver = "nearest", .bits = bits};  // reads no text
    const StoredSize size = size_of(assemble(find_method("qtip"), overrides));
    CHECK(size.layout.rotation == 0u);
    CHECK(size.layout.format == "trellis");
    CHECK(predicted_bits(read_architecture(kFamilies / "llama3"), size) ==
          doctest::Approx(counted_bits(temporary.path, "qtip", overrides)).epsilon(1e-12));
  }
}

TEST_CASE("the chosen group is the one that a search of all finds") {
  const Architecture arch = read_architecture(kFamilies / "llama3");
  for (const char* grid : {"uniform:bits=3,group=7", "uniform:bits=4,group=16,bilevel=1"})
    for (const double target : {3.1, 3.6, 4.2, 5.0, 7.5, 40.0}) {
      CAPTURE(grid);
      CAPTURE(target);
      StoredSize size = size_of(assemble(find_method("rtn"), {.grid = grid}));
      const auto group = group_for(arch, size, target);
      double best = -1;
      for (std::int64_t trial = 1; trial <= 4096; ++trial) {
        size.layout.group = trial;
        const double bits = predicted_bits(arch, size);
        if (bits <= target) best = std::max(best, bits);
      }
      REQUIRE(group.has_value() == (best > 0));
      if (!group) continue;
      size.layout.group = *group;
      CHECK(predicted_bits(arch, size) == best);
      CHECK(group_for(arch, size, target) == group);  // as good, so it stays
    }
}

TEST_CASE("the chosen mean of widths is the largest that fits") {
  const Architecture arch = read_architecture(kFamilies / "llama3");
  StoredSize size = size_of(assemble(find_method("karat"), {.bits = "3", .detach = "none"}));
  CHECK(size.layout.bits == 3);
  const double three = predicted_bits(arch, size);
  for (const double target : {three - 0.7, three, three + 0.123, three + 9}) {
    CAPTURE(target);
    size.mean_bits = mean_for(arch, size, target).value();
    size.layout.bits = static_cast<int>(size.mean_bits);
    CHECK(predicted_bits(arch, size) <= target + 1e-9);
    size.mean_bits += 0.01;
    CHECK((size.mean_bits > 5 || predicted_bits(arch, size) > target));
  }
  CHECK(!mean_for(arch, size, three - 1.2));
}

TEST_CASE("the chosen ratio is the largest that fits") {
  const Architecture arch = read_architecture(kFamilies / "llama3");
  StoredSize size = size_of(assemble(find_method("rtn"), {.grid = "uniform:bits=3,group=16"}));
  const double none = predicted_bits(arch, size);
  CHECK(!ratio_for(arch, size, none - 0.1));
  for (const double target : {none + 0.3, none + 1, none + 40}) {
    const double ratio = ratio_for(arch, size, target).value();
    size.ratio = ratio;
    CHECK(predicted_bits(arch, size) <= target + 1e-9);
    size.ratio = ratio + 1e-3;
    CHECK((ratio == 1 || predicted_bits(arch, size) > target));
  }
}

TEST_CASE("a recipe is a label, a method and flags") {
  const CompareRecipe recipe =
      parse_recipe("mine=gptq --grid uniform:bits=3,group=16 --solver=gptq:damp=0.1  --ratio 0.02");
  CHECK(recipe.label == "mine");
  CHECK(recipe.method == "gptq");
  CHECK(recipe.overrides ==
        Overrides{.grid = "uniform:bits=3,group=16", .solver = "gptq:damp=0.1", .ratio = "0.02"});
  CHECK(parse_recipe("x=--method rtn").method == "rtn");
  CHECK(parse_recipe("x=--bits 3").method == "karat");
  for (const char* bad : {"gwq", "=gwq", "gwq --grid uniform:bits=3", "--grid=uniform", "x=gwq rtn",
                          "x=gwq --grid", "x=gwq --grid --bits 3", "x=gwq --out y", "x=gwq -b 3"}) {
    CAPTURE(bad);
    CHECK_THROWS_WITH_AS(parse_recipe(bad), doctest::Contains("expected"), Error);
  }
}

TEST_CASE("defaults hold where a recipe does not say its own") {
  const auto made =
      with_defaults({parse_recipe("a=gwq"), parse_recipe("b=rtn --grid uniform:bits=2"),
                     parse_recipe("c=gwq --group 8 --selector top:ratio=0.5")},
                    {.bits = {"3", "4"}, .group = "64", .ratio = "0.02"});
  REQUIRE(made.size() == 5);
  CHECK(made[0].overrides == Overrides{.bits = "3", .group = "64", .ratio = "0.02"});
  CHECK(made[1].overrides.bits == "4");
  CHECK(made[2].overrides == Overrides{.grid = "uniform:bits=2", .group = "64"});  // keeps none
  CHECK(made[3].overrides == Overrides{.selector = "top:ratio=0.5", .bits = "3", .group = "8"});
  CHECK(with_defaults({{.label = "a"}}, {}).size() == 1);
  CHECK_THROWS_WITH_AS(with_defaults({parse_recipe("d=qtip")}, {.group = "64"}),
                       doctest::Contains("--group 64"), Error);
  CHECK_THROWS_WITH_AS(with_defaults({parse_recipe("d=rtn")}, {.ratio = "0.1"}),
                       doctest::Contains("--ratio 0.1"), Error);
}

TEST_CASE("rows tell mean and deviation over seeds") {
  const CompareReport report = small_report();
  const CompareRow& method = report.rows[1];
  CHECK(method.perplexity().mean == doctest::Approx(22));
  CHECK(*method.perplexity().deviation == doctest::Approx(std::sqrt(2.0)));
  CHECK(method.kl().mean == doctest::Approx(0.03));
  CHECK(method.perplexity_error() == doctest::Approx(0.25));
  CHECK(!report.rows[2].perplexity().deviation);
  CHECK(!method.peak());
}

TEST_CASE("the views say the same") {
  const CompareReport report = small_report();
  const auto json = nlohmann::json::parse(to_json(report));
  CHECK(json["rows"].size() == 3);
  CHECK(json["rows"][0]["kl"].is_null());
  CHECK(json["rows"][1]["kl"]["mean"].get<double>() == doctest::Approx(0.03));
  CHECK(json["rows"][1]["runs"].size() == 2);
  CHECK(json["rows"][2]["perplexity"]["deviation"].is_null());
  const std::string table = to_table(report);
  CHECK(table.find("22.000 ± 0.250, sd 1.414") != table.npos);
  CHECK(table.find("0.50  uniform 3 bits g40") != table.npos);
  CHECK(table.find("note") == table.npos);
}

TEST_CASE("the page stands alone and escapes what it is told") {
  const std::string page = to_html(small_report());
  for (const char* outside : {"http", "<script", "src=", "url(", "@import", "<b>", "<model>"}) {
    CAPTURE(outside);
    CHECK(page.find(outside) == page.npos);
  }
  for (const char* inside : {"a &lt;model&gt; &amp; more", "&quot;x&quot; &lt;b&gt;", "<svg ",
                             "prefers-color-scheme: dark", "uniform 3 bits g40"})
    CHECK(page.find(inside) != page.npos);
  CHECK(compare_plot({}).empty());
}
