// The recipes of a comparison, from what its caller says.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "karat/compare.h"
#include "karat/error.h"
#include "recipe/axis_text.h"

namespace karat {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (true) {
    const std::size_t begin = text.find_first_not_of(kBlank);
    if (begin == text.npos) return words;
    text.remove_prefix(begin);
    const std::size_t end = std::min(text.find_first_of(kBlank), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

/// The text that `flag` sets; nullptr when there is no such flag.
std::string* setting(CompareRecipe& recipe, std::string_view flag) {
  if (flag == "--method") return &recipe.method;
  for (const RecipeFlag& known : recipe_flags())
    if (flag == fmt::format("--{}", known.name)) return &(recipe.overrides.*known.changed);
  return nullptr;
}

/// Whether the caller said `key` of an axis, as a flag of its own or inside the axis text.
bool says(const std::string& flag, const std::string& axis, std::string_view key) {
  return !flag.empty() || option_of(axis, key);
}

/// Whether the recipe's axis text, spelled out, has such an option.
bool knows(const CompareRecipe& recipe, const auto& axis, std::string_view key) {
  return option_of((assemble(find_method(recipe.method), recipe.overrides).recipe.*axis).text, key)
      .has_value();
}

}  // namespace

CompareRecipe parse_recipe(std::string_view text) {
  const std::string where = fmt::format("recipe '{}'", text);
  const std::size_t equals = text.find('=');
  if (equals == text.npos || equals == 0 || text.starts_with('-') ||
      text.substr(0, equals).find_first_of(kBlank) != text.npos)
    fail(where, "no label", "label=method --grid … --solver …", "say mine=gwq --bits 3");
  CompareRecipe recipe{.label = std::string(text.substr(0, equals))};
  const std::vector<std::string> words = words_of(text.substr(equals + 1));
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i == 0 && !words[i].starts_with("--")) {
      recipe.method = words[i];
      continue;
    }
    const std::size_t split = words[i].find('=');  // --bits 3 or --bits=3
    const std::string flag = words[i].substr(0, split);
    std::string* value = setting(recipe, flag);
    if (value == nullptr)
      fail(where, fmt::format("'{}'", flag), "the flags of `karat quantize` that make a recipe");
    if (split != std::string::npos)
      *value = words[i].substr(split + 1);
    else if (i + 1 < words.size())
      *value = words[++i];
    if (value->empty() || value->starts_with("--")) fail(where, "no value of " + flag, "one");
  }
  return recipe;
}

std::vector<CompareRecipe> with_defaults(const std::vector<CompareRecipe>& recipes,
                                         const CompareDefaults& defaults) {
  std::vector<CompareRecipe> result;
  bool grouped = defaults.group.empty(), kept = defaults.ratio.empty();  // whether of any use
  for (CompareRecipe recipe : recipes) {
    Overrides& o = recipe.overrides;
    const bool has_group = knows(recipe, &Recipe::grid, "group");
    const bool has_ratio = knows(recipe, &Recipe::selector, "ratio");
    grouped |= has_group;
    kept |= has_ratio;
    if (has_group && !says(o.group, o.grid, "group")) o.group = defaults.group;
    if (has_ratio && !says(o.ratio, o.selector, "ratio")) o.ratio = defaults.ratio;
    const bool sized = !o.size.empty() || !o.file_bits.empty();  // which says the bits
    if (defaults.bits.empty() || sized || says(o.bits, o.grid, "bits")) {
      result.push_back(std::move(recipe));
      continue;
    }
    for (const std::string& bits : defaults.bits) {
      o.bits = bits;
      result.push_back(recipe);
    }
  }
  if (!grouped) fail("compare", "--group " + defaults.group, "a recipe whose grid has a group");
  if (!kept) fail("compare", "--ratio " + defaults.ratio, "a recipe whose selector has a ratio");
  return result;
}

}  // namespace karat
