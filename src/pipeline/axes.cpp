#include "pipeline/axes.h"

namespace karat {
namespace {

std::vector<RecipeFlag> make_flags() {
  std::vector<RecipeFlag> flags;
  for_each_axis([&](const auto& axis) {
    flags.push_back({axis.name, axis.help, RecipeFlag::Kind::axis, axis.changed,
                     [member = axis.recipe](const Recipe& r) -> const std::string& {
                       return (r.*member).text;
                     }});
  });
  for (const Shortcut& shortcut : kShortcuts)
    flags.push_back(
        {shortcut.option, shortcut.help, RecipeFlag::Kind::shortcut, shortcut.changed, {}});
  for (const RecipeText& text : kTexts)
    flags.push_back({text.name, text.help, text.kind, text.changed, text.recipe});
  return flags;
}

}  // namespace

// Whoever adds a member to Overrides has to say here which flag sets it.
static_assert(sizeof(Overrides) ==
              sizeof(std::string) *
                  (std::tuple_size_v<decltype(kAxes)> + std::size(kShortcuts) + std::size(kTexts)));

const std::vector<RecipeFlag>& recipe_flags() {
  static const std::vector<RecipeFlag> flags = make_flags();
  return flags;
}

std::string axes_text(const Recipe& recipe) {
  std::string text;
  for (const RecipeFlag& flag : recipe_flags())
    if (flag.kind == RecipeFlag::Kind::axis)
      text += (text.empty() ? "" : " | ") + flag.text(recipe);
  return text;
}

}  // namespace karat
