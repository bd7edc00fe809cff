// karat methods: Lists the methods and the axis values they are made of
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
  if (needs.factors != Sketch::none) names.push_back("factors");
  if (needs.ends) names.push_back("ends");
  if (needs.blocks) names.push_back("blocks");
  return names.empty() ? "nothing" : list_text(names);
}

/// What tells methods apart: their axes and steps.
std::vector<RecipeFlag> columns() {
  std::vector<RecipeFlag> columns;
  for (const RecipeFlag& flag : recipe_flags())
    if (flag.kind == RecipeFlag::Kind::axis || flag.kind == RecipeFlag::Kind::step)
      columns.push_back(flag);
  return columns;
}

void print_json() {
  nlohmann::ordered_json methods = nlohmann::ordered_json::array(), axes;
  for (const Assembled& method : assembled_methods()) {
    const Recipe& r = method.recipe;
    nlohmann::ordered_json json = {{"name", r.name}, {"summary", r.summary}, {"paper", r.paper}};
    for (const RecipeFlag& column : columns()) json[column.name] = column.text(r);
    json["needs"] = text_of(method.needs());
    methods.push_back(json);
  }
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
  std::string head = "| method |", line = "|---|";
  for (const RecipeFlag& column : columns()) {
    head += fmt::format(" {} |", column.name);
    line += "---|";
  }
  fmt::print("{} paper |\n{}---|\n", head, line);
  for (const Assembled& method : assembled_methods()) {
    fmt::print("| `{}` |", method.recipe.name);
    for (const RecipeFlag& column : columns()) fmt::print(" `{}` |", column.text(method.recipe));
    fmt::print(" {} |\n", method.recipe.paper);
  }
}

void print_text() {
  for (const Assembled& method : assembled_methods()) {
    const Recipe& r = method.recipe;
    fmt::print("{}: {}\n  paper     {}\n  measures  {}\n", r.name, r.summary, r.paper,
               text_of(method.needs()));
    for (const RecipeFlag& column : columns())
      fmt::print("  {:<9} {}\n", column.name, column.text(r));
    fmt::print("\n");
  }
  for (const auto& [axis, values] : axis_values()) {
    fmt::print("--{}\n", axis);
    if (axis == "grid")
      fmt::print(
          "  bits=3.4, or widths=mixed: a mean over layers of 2 to 4 bits, of trellis and uniform "
          "to 5\n");
    for (const AxisValue& value : values) {
      fmt::print("  {}\n", value.name);
      for (const OptionEntry& option : value.options)
        fmt::print("    {:<22}  {}\n", option.key + "=" + option.value, option.help);
    }
  }
}

}  // namespace

Action methods_verb(CLI::App& app) {
  app.description("Lists the methods and the axis values they are made of");
  auto arguments = std::make_shared<MethodsArguments>();
  auto* markdown = app.add_flag("--markdown", arguments->markdown, "A table for documents");
  app.add_flag("--json", arguments->json, "For scripts")->excludes(markdown);
  const auto work = [arguments] {
    if (arguments->json)
      print_json();
    else if (arguments->markdown)
      print_markdown();
    else
      print_text();
  };
  return {work, Action::Threads::one};
}

}  // namespace karat
