// karat methods: list the methods and the axis values they are made of
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Option.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "karat/recipe.h"

namespace karat {
namespace {

struct MethodsArguments {
  bool markdown = false, json = false;
};

std::vector<Assembled> assembled_methods() {
  std::vector<Assembled> methods;
  for (const Recipe& recipe : all_methods()) methods.push_back(assemble(recipe));
  return methods;
}

std::string text_of(const Needs& needs) {
  std::vector<std::string> names;
  if (needs.gradient) names.push_back("gradient");
  if (needs.fisher) names.push_back("fisher");
  if (needs.hessian) names.push_back("hessian");
  if (needs.input_abs) names.push_back("input_abs");
  if (needs.input_square) names.push_back("input_square");
  if (needs.token_weights) names.push_back("token_weights");
  if (needs.guided) names.push_back("guided");
  return names.empty() ? "nothing" : list_text(names);
}

void print_json() {
  nlohmann::ordered_json methods = nlohmann::ordered_json::array(), axes;
  for (const Assembled& method : assembled_methods())
    methods.push_back({{"name", method.recipe.name},
                       {"summary", method.recipe.summary},
                       {"paper", method.recipe.paper},
                       {"metric", method.recipe.metric.text},
                       {"selector", method.recipe.selector.text},
                       {"transform", method.recipe.transform.text},
                       {"grid", method.recipe.grid.text},
                       {"solver", method.recipe.solver.text},
                       {"detach", method.recipe.detach},
                       {"needs", text_of(method.needs())}});
  for (const auto& [axis, values] : axis_values())
    for (const AxisValue& value : values) {
      nlohmann::ordered_json options = nlohmann::ordered_json::object();
      for (const OptionEntry& option : value.options)
        options[option.key] = {{"default", option.value}, {"help", option.help}};
      axes[axis][value.name] = options;
    }
  fmt::print("{}\n", nlohmann::ordered_json{{"methods", methods}, {"axes", axes}}.dump(2));
}

void print_markdown() {
  fmt::print(
      "| method | metric | selector | transform | grid | solver | detach | paper "
      "|\n|---|---|---|---|---|---|---|---|\n");
  for (const Assembled& method : assembled_methods()) {
    const Recipe& r = method.recipe;
    fmt::print("| `{}` | `{}` | `{}` | `{}` | `{}` | `{}` | `{}` | {} |\n", r.name, r.metric.text,
               r.selector.text, r.transform.text, r.grid.text, r.solver.text, r.detach, r.paper);
  }
}

void print_text() {
  for (const Assembled& method : assembled_methods()) {
    const Recipe& r = method.recipe;
    fmt::print("{}: {}\n  paper     {}\n  measures  {}\n", r.name, r.summary, r.paper,
               text_of(method.needs()));
    fmt::print("  metric    {}\n  selector  {}\n  transform {}\n  grid      {}\n  solver    {}\n",
               r.metric.text, r.selector.text, r.transform.text, r.grid.text, r.solver.text);
    fmt::print("  detach    {}\n\n", r.detach);
  }
  for (const auto& [axis, values] : axis_values()) {
    fmt::print("--{}\n", axis);
    if (axis == "grid")
      fmt::print(
          "  bits=3.4, or widths=mixed: a mean over layers of 2, 3 and 4 bits, and 5 of trellis\n");
    for (const AxisValue& value : values) {
      fmt::print("  {}\n", value.name);
      for (const OptionEntry& option : value.options)
        fmt::print("    {:<22}  {}\n", option.key + "=" + option.value, option.help);
    }
  }
}

}  // namespace

Action methods_verb(CLI::App& app) {
  app.description("List the methods, the axis values they are made of, and every option");
  auto arguments = std::make_shared<MethodsArguments>();
  auto* markdown = app.add_flag("--markdown", arguments->markdown, "A table for documents");
  app.add_flag("--json", arguments->json, "For scripts")->excludes(markdown);
  return [arguments] {
    if (arguments->json)
      print_json();
    else if (arguments->markdown)
      print_markdown();
    else
      print_text();
  };
}

}  // namespace karat
