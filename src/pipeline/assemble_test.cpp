#include <doctest/doctest.h>

#include <algorithm>

#include "karat/error.h"
#include "pipeline/report.h"
#include "recipe/axis_text.h"

using namespace karat;

TEST_CASE("every method assembles, and its spelled-out texts mean the same") {
  const std::vector<Recipe> methods = all_methods();
  REQUIRE(methods.size() >= 4);
  for (const Recipe& method : methods) {
    CAPTURE(method.name);
    CHECK(!method.summary.empty());
    CHECK(!method.paper.empty());
    const Assembled once = assemble(method);
    const Assembled twice = assemble(once.recipe);
    for (const RecipeFlag& flag : recipe_flags())
      if (flag.text) CHECK(flag.text(once.recipe) == flag.text(twice.recipe));
    CHECK(once.grid.fit);
    CHECK(once.solver.solve);
  }
}

TEST_CASE("every flag is listed once, and changes what it says it does") {
  const Overrides all{.metric = "magnitude",
                      .selector = "top:ratio=0.02",
                      .transform = "scale:steps=7",
                      .grid = "uniform:bits=3,group=32",
                      .solver = "gptq:damp=0.5",
                      .inputs = "original",
                      .detach = "ratio=0.001,rounds=3"};
  const Recipe recipe = assemble(find_method("rtn"), all).recipe;
  std::vector<std::string> axes;
  for (const RecipeFlag& flag : recipe_flags()) {
    CAPTURE(flag.name);
    CHECK(!flag.help.empty());
    const auto same = [&](const RecipeFlag& other) { return other.changed == flag.changed; };
    CHECK(std::ranges::count_if(recipe_flags(), same) == 1);
    CHECK(static_cast<bool>(flag.text) == (flag.kind != RecipeFlag::Kind::shortcut));
    if (flag.text) CHECK(flag.text(recipe).starts_with(all.*flag.changed));
    if (flag.kind == RecipeFlag::Kind::axis) axes.emplace_back(flag.name);
  }
  CHECK(axes.size() == axis_values().size());
  for (const std::string& axis : axes) CHECK(axis_values().contains(axis));
}

TEST_CASE("a recipe in JSON has these keys, in this order") {
  std::vector<std::string> keys;
  const nlohmann::ordered_json json = recipe_json(find_method("gwq"));
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  CHECK(keys == std::vector<std::string>{"method", "paper", "metric", "selector", "transform",
                                         "grid", "solver", "tuner", "inputs", "detach", "ends",
                                         "size", "file-bits"});
}

TEST_CASE("gwq is what the dossier says") {
  const Recipe gwq = assemble(find_method("gwq")).recipe;
  CHECK(gwq.metric.text == "gradient:key=g");
  CHECK(gwq.selector.text == "top:ratio=0.01,scope=matrix");
  CHECK(gwq.grid.text == "uniform:bits=3,group=16,bilevel=1,symmetric=0,fit=minmax");
  CHECK(gwq.solver.text == "nearest");
  CHECK(assemble(find_method("gwq")).needs() == Needs{.gradient = true});
  CHECK(assemble(find_method("gwq-obs")).needs() == Needs{.gradient = true, .hessian = true});
  CHECK(!assemble(find_method("rtn")).needs().any());
}

TEST_CASE("overrides replace an axis or one option of it") {
  const auto with = [](const char* method, const Overrides& overrides) {
    return assemble(find_method(method), overrides).recipe;
  };
  CHECK(with("gwq", {.bits = "4", .group = "32", .ratio = "0.02"}).grid.text ==
        "uniform:bits=4,group=32,bilevel=1,symmetric=0,fit=minmax");
  CHECK(with("gwq", {.ratio = "0.02"}).selector.text == "top:ratio=0.02,scope=matrix");
  CHECK(with("gwq", {.metric = "gradient:gw"}).metric.text == "gradient:key=gw");
  CHECK(with("rtn", {.metric = "magnitude", .selector = "top:0.01,scope=row"}).selector.text ==
        "top:ratio=0.01,scope=row");
  CHECK(with("gwq", {.grid = "uniform:bits=2", .group = "64"}).grid.text ==
        "uniform:bits=2,group=64,bilevel=0,symmetric=0,fit=minmax");
  CHECK(with("gwq", {.selector = "none"}).metric.text == "none");
}

TEST_CASE("bits with a point are a mean of widths, whole bits one width unless the grid mixes") {
  const auto made = [](const char* method, const Overrides& overrides) {
    return assemble(find_method(method), overrides);
  };
  const Assembled mixed = made("gptq", {.bits = "3.4"});
  CHECK(mixed.recipe.grid.text ==
        "uniform:bits=3.4,group=128,bilevel=0,symmetric=0,fit=minmax,widths=mixed");
  CHECK(mixed.widths.mean == 3.4);
  CHECK(mixed.widths.grids.size() == 4);
  CHECK(mixed.needs().fisher);
  CHECK(assemble(mixed.recipe).recipe.grid.text == mixed.recipe.grid.text);
  CHECK(made("gptq", {.bits = "3.0"}).widths.mean == 3);
  CHECK(made("gptq", {.bits = "3"}).widths.mean == 0);
  CHECK(made("karat", {.bits = "3"}).widths.mean == 3);
  CHECK(made("karat", {.grid = "trellis:bits=3"}).widths.mean == 0);
  CHECK(made("karat", {.bits = "4.5"}).widths.grids.size() == 4);
  CHECK(made("karat", {.grid = "column-trellis:bits=3.4"}).recipe.grid.text ==
        "column-trellis:bits=3.4,widths=mixed");
  for (const char* grid : {"trellis:bits=5.1", "uniform:bits=5.5", "trellis:bits=1.9",
                           "uniform:bits=8,widths=mixed", "uniform:widths=odd", "nf4:bits=3.5"})
    CHECK_THROWS_AS(made("rtn", {.grid = grid}), Error);
}

TEST_CASE("a size mixes widths over layers and ends, wider ones than the grid has among them") {
  const auto made = [](const char* method, const Overrides& overrides) {
    return assemble(find_method(method), overrides);
  };
  const auto widths = [](const std::map<int, Grid>& grids) {
    std::vector<int> bits;
    for (const auto& [width, grid] : grids) bits.push_back(width);
    return bits;
  };
  const Assembled karat = made("karat", {.size = "90MB"});
  CHECK(widths(karat.widths.grids) == std::vector{2, 3, 4, 5, 6, 8});
  CHECK(widths(karat.ends->grids) == std::vector{2, 3, 4, 5, 6, 8});
  CHECK(karat.recipe.grid.text.ends_with("widths=mixed"));
  CHECK_FALSE(option_of(karat.recipe.grid.text, "bits"));
  CHECK(karat.needs().fisher);
  CHECK(karat.needs().ends);
  const Assembled again = assemble(karat.recipe);
  CHECK(again.recipe.grid.text == karat.recipe.grid.text);
  CHECK(again.recipe.ends == karat.recipe.ends);
  CHECK(again.budget->bytes == 90e6);
  CHECK(made("karat", {.ends = "6", .size = "90MB"}).ends->grids.empty());
  CHECK_FALSE(made("karat", {.ends = "none", .size = "90MB"}).ends);
  const Overrides tables{.grid = "lut:widths=mixed", .solver = "lnq", .size = "1GB"};
  CHECK(widths(made("lnq", tables).widths.grids) == std::vector{2, 3, 4});  // lnq refits tables
}

TEST_CASE("a size where something else says the bits, or nothing can, is an error") {
  const auto refused = [](const char* method, const Overrides& overrides, const char* says) {
    CHECK_THROWS_WITH_AS(assemble(find_method(method), overrides), doctest::Contains(says), Error);
  };
  refused("karat", {.size = "90MB", .file_bits = "4"}, "--size 90MB and --file-bits 4");
  refused("karat", {.bits = "4", .size = "90MB"}, "--size 90MB and --bits 4");
  refused("karat", {.grid = "uniform:bits=4,widths=mixed", .file_bits = "4"}, "--file-bits 4 and");
  refused("karat", {.file_bits = "65"}, "at most 64");
  refused("karat", {.file_bits = "4bits"}, "above 0");
  refused("gptq", {.size = "90MB"}, "say --grid uniform:group=128,");
  refused("karat", {.grid = "nf4", .size = "90MB"}, "this grid has one width");
  refused("spqr", {.grid = "uniform:widths=mixed", .size = "90MB"}, "say outliers=0");
  refused("requant-awq", {.grid = "uniform:widths=mixed", .size = "90MB"}, "looks back");
  refused("karat", {.ends = "uniform:widths=mixed"}, "--size or --file-bits");
}

TEST_CASE("every method that keeps weights lets its share be changed") {
  for (const Recipe& method : all_methods()) {
    CAPTURE(method.name);
    if (method.selector.text != "none")
      CHECK(assemble(method, {.ratio = "0.003"}).recipe.selector.text.find("ratio=0.003") !=
            std::string::npos);
  }
}

TEST_CASE("what would change nothing, or is not known, is an error") {
  const auto refused = [](const char* method, const Overrides& overrides) {
    CHECK_THROWS_AS(assemble(find_method(method), overrides), Error);
  };
  refused("rtn", {.metric = "magnitude"});
  refused("rtn", {.selector = "top:0.01"});
  refused("rtn", {.ratio = "0.01"});
  refused("gwq", {.selector = "none", .ratio = "0.01"});
  refused("gwq", {.grid = "uniform:bits=2", .bits = "3"});
  refused("gwq", {.bits = "7"});
  refused("gwq", {.solver = "nearest:damp=0.1"});
  refused("gwq", {.solver = "lnq"});                           // no table to refit
  refused("gwq", {.selector = "saving:0.01", .grid = "lut"});  // no range to save
  refused("spqr", {.transform = "hadamard"});                  // kept in another basis
  refused("qtip", {.solver = "gptq:order=1"});                 // vectors are not reordered
  CHECK_THROWS_WITH(assemble(find_method("gwq"), {.metric = "vibes"}),
                    "metric: got 'vibes', expected activation, fisher, gradient, guided, hessian, "
                    "identity, magnitude, none, pqi, random");
  CHECK_THROWS_WITH_AS(find_method("gqw"), doctest::Contains("gptq, gwq, gwq-obs"), Error);
  refused("rtn", {.inputs = "original"});  // nothing reads them
  refused("gptq", {.inputs = "both"});
  refused("rtn", {.transform = "turn"});
  refused("rtn", {.grid = "uniform:fit=best"});
  refused("rtn", {.grid = "uniform:symmetric=1,fit=mse"});
  refused("rtn", {.grid = "nf4:bits=3"});
}

TEST_CASE("a method may hold a value of its own, and the shortcuts reach it") {
  const auto factory = [](Options& options) -> Grid {
    return {.group = options.integer("group", 8, 1, 64, "columns"),
            .fit = [](const Slab&) { return GridParams(); }};
  };
  const Recipe recipe{.name = "mine", .grid = {"own-grid:group=16", factory}};
  CHECK(assemble(recipe).grid.group == 16);
  CHECK(assemble(recipe, {.group = "32"}).recipe.grid.text == "own-grid:group=32");
  CHECK(assemble(recipe, {.grid = "own-grid"}).grid.group == 8);
  CHECK(assemble(recipe, {.grid = "uniform:group=64"}).recipe.grid.text ==
        "uniform:bits=4,group=64,bilevel=0,symmetric=0,fit=minmax");
  CHECK_THROWS_AS(assemble(recipe, {.bits = "3"}), Error);
}
