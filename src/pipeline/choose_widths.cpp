// Widths within a mean or a budget.
#include <fmt/format.h>

#include <cmath>

#include "karat/error.h"
#include "pipeline/budget.h"
#include "pipeline/file_size.h"

namespace karat {
namespace {

LayerWidths with_losses(const std::map<std::string, int>& bits, const Sensitivities& measured) {
  LayerWidths widths;
  for (const auto& [name, width] : bits) {
    const Sensitivity& part = measured.at(name);
    widths[name] = {width, part.cost / part.weights, part.loss(width)};
  }
  return widths;
}

/// Codes of the layers have the mean at most.
LayerWidths within_mean(const Widths& widths, const Sensitivities& measured) {
  WidthChoices choices;
  double most = 0;
  for (const auto& [name, part] : measured) {
    for (const auto& [bits, grid] : widths.grids)
      choices[name].push_back(
          {bits, bits * static_cast<std::int64_t>(part.weights), part.loss(bits)});
    most += part.weights * widths.mean;
  }
  return with_losses(least_loss(choices, std::llround(std::floor(most * (1 + 1e-12)))), measured);
}

/// The budget as its flag would say what it takes at least.
[[noreturn]] void fail_unreachable(const Source& model, const Assembled& recipe,
                                   std::int64_t least) {
  const auto parameters = static_cast<double>(parameters_of(model.arch));
  const double bits = std::ceil(8e3 * static_cast<double>(least) / parameters) / 1e3;
  fail("recipe", budget_text(recipe.recipe),
       recipe.budget->bits > 0 ? fmt::format("--file-bits {:.3f} or more", bits)
                               : fmt::format("--size {} or more", size_text(least)),
       "the narrowest codes that this recipe has take that much" +
           std::string(recipe.ends ? "" : "; --ends 4 would make embedding and head smaller"));
}

/// What is left for packed tensors follows from what all else takes, which depends a little on the
/// widths: the header names other tensors.
LayerWidths within_budget(const Source& model, const Assembled& recipe, const Measured& measured) {
  const FileSize file(model, recipe, measured.kept);
  const std::int64_t budget = recipe.budget->of(model.arch);
  const std::int64_t least = file.bytes(file.extreme(false));
  if (least > budget) fail_unreachable(model, recipe, least);
  WidthChoices choices;
  std::int64_t narrowest = 0;
  for (const PackedPart& part : file.parts()) {
    if (part.layouts->size() < 2) continue;
    std::vector<WidthChoice>& of_part = choices[part.name];
    for (const auto& [bits, layout] : *part.layouts) {
      const std::int64_t bytes = packed_bytes(layout, part.out, part.in);
      if (of_part.empty() || bytes > of_part.back().price)
        of_part.push_back({bits, bytes, measured.sensitivities.at(part.name).loss(bits)});
    }
    narrowest += of_part.front().price;
  }
  std::int64_t most = budget - least + narrowest;
  while (true) {
    const LayerWidths widths = with_losses(least_loss(choices, most), measured.sensitivities);
    const std::int64_t excess = file.bytes(widths) - budget;
    if (excess <= 0) return widths;
    most = std::max(narrowest, most - excess);
  }
}

}  // namespace

LayerWidths choose_widths(const Source& model, const Assembled& recipe, const Measured& measured) {
  if (!recipe.widths.mixed()) return {};
  return recipe.budget ? within_budget(model, recipe, measured)
                       : within_mean(recipe.widths, measured.sensitivities);
}

void check_reachable(const Source& model, const Assembled& recipe) {
  if (!recipe.budget) return;
  const FileSize file(model, recipe, {});
  const std::int64_t least = file.bytes(file.extreme(false));
  if (least > recipe.budget->of(model.arch)) fail_unreachable(model, recipe, least);
}

std::vector<std::string> budget_notices(const Source& model, const Assembled& recipe,
                                        const FileSize& file, std::int64_t bytes) {
  constexpr double kClose = 0.99;
  if (!recipe.budget) return {};
  const std::int64_t budget = recipe.budget->of(model.arch);
  if (static_cast<double>(bytes) >= kClose * static_cast<double>(budget)) return {};
  const std::string asked = budget_text(recipe.recipe);
  if (bytes == file.bytes(file.extreme(true)))
    return {fmt::format("{}: the widest codes that this recipe has take {}, so the file is smaller",
                        asked, size_text(bytes))};
  return {
      fmt::format("{}: no mix of widths comes nearer than {}, so coarse are the steps of this "
                  "model",
                  asked, size_text(bytes))};
}

}  // namespace karat
