#include "pipeline/identity.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/hash.h"
#include "core/threads.h"
#include "load/model_files.h"
#include "pipeline/budget.h"

namespace karat {
namespace {

constexpr std::size_t kPiece = 16u << 20;  // bytes hashed by one thread at a time
constexpr std::size_t kRound = 64;         // pieces between two reports of progress

/// As the command line would say it, but for the budget.
std::string recipe_text(const Recipe& recipe) {
  std::string text = recipe.name;
  for (const RecipeFlag& flag : recipe_flags())
    if (flag.text && flag.kind != RecipeFlag::Kind::budget)
      text += fmt::format("{}--{} {}", text.empty() ? "" : " ", flag.name, flag.text(recipe));
  return text;
}

std::string hash_of(std::string_view text) {
  return sha256(std::as_bytes(std::span(text.data(), text.size())));
}

std::string shapes_text(const Safetensors& files) {
  std::string text;
  for (const TensorView& tensor : files.tensors())
    text += fmt::format("{} {} {}|", tensor.name, tensor.type(), shape_text(tensor.shape));
  return text;
}

/// The bytes are hashed in pieces, and then the hashes.
std::string weights_hash(const Safetensors& files, const ProgressFn& listener) {
  std::vector<std::span<const std::byte>> pieces;
  for (const TensorView& tensor : files.tensors())
    for (auto bytes = tensor.span(); !bytes.empty();) {
      pieces.push_back(bytes.first(std::min(kPiece, bytes.size())));
      bytes = bytes.subspan(pieces.back().size());
    }
  const bool quick = pieces.size() <= kRound;
  Progress progress("hash", static_cast<std::int64_t>(pieces.size()),
                    quick ? ProgressFn() : listener);
  std::vector<std::string> hashes(pieces.size());
  for (std::size_t first = 0; first < pieces.size(); first += kRound) {
    const std::size_t count = std::min(kRound, pieces.size() - first);
    parallel_for(static_cast<std::int64_t>(count), 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        hashes[first + i] = sha256(pieces[first + i]);
    });
    progress.step(static_cast<std::int64_t>(count));
  }
  std::string all;
  for (const std::string& hash : hashes) all += hash;
  return hash_of(all);
}

WorkPart text_part(const CalibrationSet& text) {
  if (!text.ids.defined()) return {.name = "text", .summary = "none", .hash = "none"};
  const torch::Tensor ids = text.ids.to(torch::kInt64).contiguous();
  const std::string size = fmt::format("{}x{}", ids.size(0), ids.size(1));
  std::string all = size + "|";
  all.append(static_cast<const char*>(ids.data_ptr()),
             static_cast<std::size_t>(ids.numel()) * sizeof(std::int64_t));
  return {.name = "text",
          .summary = fmt::format("{} ({} tokens, seed {})", text.file, size, text.options.seed),
          .hash = hash_of(all)};
}

/// What is measured serves every budget.
WorkPart budget_part(const Assembled& recipe) {
  const std::string text = recipe.budget ? budget_text(recipe.recipe) : "none";
  return {
      .name = "size", .summary = recipe.budget ? text : "", .hash = hash_of(text), .late = true};
}

}  // namespace

WorkIdentity identity_of_recipe(const Assembled& recipe) {
  const std::string version = std::to_string(kFormatVersion), text = recipe_text(recipe.recipe);
  return {{.name = "version of Karat", .summary = "", .hash = version},
          {.name = "recipe", .summary = text, .hash = hash_of(text)},
          budget_part(recipe)};
}

WorkIdentity identity_of_job(const Source& model, const Assembled& recipe,
                             const CalibrationSet& text) {
  WorkIdentity identity = identity_of_recipe(recipe);
  identity.push_back({.name = "model",
                      .summary = model.name(),
                      .hash = hash_of(config_text(model.folder) + shapes_text(model.files))});
  identity.push_back(text_part(text));
  return identity;
}

WorkIdentity identity_of_work(const Source& model, const Assembled& recipe,
                              const CalibrationSet& text, const ProgressFn& progress) {
  WorkIdentity identity = identity_of_job(model, recipe, text);
  identity.push_back(
      {.name = "model's weights", .summary = "", .hash = weights_hash(model.files, progress)});
  return identity;
}

}  // namespace karat
