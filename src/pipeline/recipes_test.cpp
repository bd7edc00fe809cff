// Recipes by the hundred on a tiny model: what is wrong with one is known before it begins.
#include <doctest/doctest.h>

#include <cstdlib>

#include "core/temporary.h"
#include "karat/error.h"
#include "pipeline/fits.h"
#include "pipeline/passes.h"
#include "pipeline/testing.h"

using namespace karat;

namespace {

using Texts = std::vector<std::string>;

const Texts kGrids = {"uniform:group=16",
                      "uniform:group=16,symmetric=1",
                      "uniform:group=16,fit=daq",
                      "uniform:group=16,fit=gaussian",
                      "uniform:group=16,fit=hqq",
                      "uniform:group=16,fit=mse,cost=activation",
                      "uniform:group=16,fit=mse,cost=fisher",
                      "uniform:group=16,fit=mse,cost=guided",
                      "uniform:group=16,cost=fisher",
                      "uniform:bits=3,group=16,bilevel=1",
                      "uniform:bits=3.1,group=16",
                      "uniform:group=24",
                      "nf4:group=16,fit=daq,cost=fisher",
                      "fp4",
                      "e2m1:group=16",
                      "lut:bits=3,group=16,cost=activation",
                      "lut:bits=3.1,cost=fisher",
                      "trellis:bits=2,code=1mad12",
                      "column-trellis:bits=2"};
const Texts kTransforms = {"none", "scale", "scale:fold=1", "hadamard"};
const Texts kSolvers = {"nearest",
                        "gptq",
                        "gptq:hessian=guided",
                        "gptq:order=1",
                        "gptq:order=1,hessian=guided",
                        "gptq:outliers=0.2",
                        "lnq:rounds=1",
                        "lnq:rounds=1,hessian=guided",
                        "yaqa:rows=4",
                        "yaqa:order=1,hessian=inputs",
                        "yaqa:sketch=tokens,hessian=guided"};
const Texts kMetrics = {"activation",       "fisher:key=f",    "fisher:key=fw", "fisher:key=fd",
                        "gradient:key=g",   "gradient:key=gd", "guided",        "hessian:key=obs",
                        "hessian:key=diag", "magnitude",       "pqi",           "random"};
const Texts kSelectors = {"top:0.05", "top:0.05,scope=model", "columns:0.1", "adaptive:0.05",
                          "saving:0.05"};

CalibrationSet fixture_text() {
  CalibrationSet set;
  set.ids = FamilyFixture("llama3").ids().to(torch::kInt64).clone();
  return set;
}

class Trial {
 public:
  /// Whether it was refused as it should be, beforehand, or went through and reads back.
  void run(const std::string& method, const Overrides& overrides) {
    Assembled recipe;
    try {
      recipe = assemble(find_method(method), overrides);
      check_fits(model_.arch, recipe);
    } catch (const Error&) {
      ++refused_;
      return;
    }
    CAPTURE(recipe.recipe.name);
    CAPTURE(recipe.recipe.metric.text);
    CAPTURE(recipe.recipe.selector.text);
    CAPTURE(recipe.recipe.transform.text);
    CAPTURE(recipe.recipe.grid.text);
    CAPTURE(recipe.recipe.solver.text);
    const CalibrationSet text = recipe.needs().any() ? text_ : CalibrationSet{};
    const TemporaryFolder folder;
    const Work work(folder.path / "out", {});
    const auto pass = [&] {
      const BlockStore blocks = run_passes(model_, recipe, text, work, {}).blocks;
      for (std::size_t i = 0; i < model_.arch.blocks.size(); ++i) {
        const QuantizedBlock block = blocks.get(i);
        for (const LayerReport& layer : block.reports) block.view(layer);
      }
    };
    CHECK_NOTHROW(pass());
    ++run_;
  }
  int refused() const { return refused_; }
  int finished() const { return run_; }

 private:
  const Source model_ = load(kFamilies / "llama3");
  const CalibrationSet text_ = fixture_text();
  int refused_ = 0, run_ = 0;
};

/// All with KARAT_ALL_RECIPES, else one in `part`.
bool chosen(int part) {
  static int count = 0;
  return std::getenv("KARAT_ALL_RECIPES") || ++count % part == 0;
}

}  // namespace

TEST_CASE("a recipe is refused before the first pass or not at all") {
  Trial trial;
  for (const std::string& grid : kGrids)
    for (const std::string& transform : kTransforms)
      for (const std::string& solver : kSolvers)
        if (chosen(29)) trial.run("rtn", {.transform = transform, .grid = grid, .solver = solver});
  for (const std::string& metric : kMetrics)
    for (const std::string& selector : kSelectors)
      for (const std::string& grid : {kGrids[0], kGrids[5], kGrids[6], kGrids[9], kGrids[15]})
        if (chosen(37)) trial.run("rtn", {.metric = metric, .selector = selector, .grid = grid});
  for (const std::string& metric : kMetrics)
    for (const std::string& transform : kTransforms)
      if (chosen(13))
        trial.run("rtn", {.metric = metric,
                          .transform = transform,
                          .grid = "uniform:group=16",
                          .detach = "0.01,rounds=1"});
  for (const Recipe& method : all_methods()) {
    for (const std::string& grid : kGrids)
      if (chosen(41)) trial.run(method.name, {.grid = grid});
    for (const std::string& solver : kSolvers)
      if (chosen(41)) trial.run(method.name, {.solver = solver});
    for (const std::string& transform : kTransforms)
      if (chosen(41)) trial.run(method.name, {.transform = transform});
    for (const std::string& metric : kMetrics)
      if (chosen(41)) trial.run(method.name, {.metric = metric});
    if (chosen(3)) trial.run(method.name, {.inputs = "original"});
  }
  MESSAGE("refused beforehand: ", trial.refused(), ", quantized: ", trial.finished());
  CHECK(trial.refused() > 0);
  CHECK(trial.finished() > 40);
}

TEST_CASE("what a grid and a transform cannot know together is refused by their names") {
  const auto refused = [](const char* method, const Overrides& overrides, const char* says) {
    CHECK_THROWS_WITH_AS(assemble(find_method(method), overrides), doctest::Contains(says), Error);
  };
  refused("karat", {.grid = "uniform:group=16,fit=mse,cost=fisher"}, "transform hadamard");
  refused("rtn", {.transform = "hadamard", .grid = "lut:cost=activation"}, "transform hadamard");
  CHECK_NOTHROW(
      assemble(find_method("gptq"), {.transform = "hadamard", .grid = "lut:cost=guided"}));
  // With a Hessian at hand, its diagonal in the rotated basis tells what inputs weigh there.
  CHECK_NOTHROW(
      assemble(find_method("gptq"), {.transform = "hadamard", .grid = "lut:cost=activation"}));
}

TEST_CASE("a layer that the format cannot hold is named before any pass") {
  Architecture arch = load(kFamilies / "llama3").arch;
  Linear& down = arch.blocks[1].mlp.down;
  const auto with = [&](std::int64_t in, const Overrides& overrides) {
    down.in = in;
    check_fits(arch, assemble(find_method("rtn"), overrides));
  };
  CHECK_NOTHROW(with(2 * 4097, {}));
  CHECK_THROWS_WITH_AS(with(2 * 4097, {.transform = "hadamard"}),
                       doctest::Contains(down.name.c_str()), Error);
  CHECK_NOTHROW(with(64 * 5, {.transform = "hadamard"}));
  const Overrides keeping{.metric = "magnitude", .selector = "top:0.01"};
  CHECK_NOTHROW(with(65536, keeping));
  CHECK_THROWS_WITH_AS(with(65537, keeping), doctest::Contains("65537 inputs"), Error);
}
