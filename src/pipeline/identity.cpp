#include "pipeline/identity.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/file.h"
#include "core/hash.h"
#include "core/threads.h"

namespace karat {
namespace {

constexpr std::size_t kPiece = 16u << 20;  // bytes hashed by one thread at a time
constexpr std::size_t kRound = 64;         // pieces between two reports of progress

std::string recipe_text(const Recipe& recipe) {
  std::string text = recipe.name;
  for (const RecipeFlag& flag : recipe_flags())
    if (flag.text) text += "|" + flag.text(recipe);
  return text;
}

std::string hash_of(std::string_view text) {
  return sha256(std::as_bytes(std::span(text.data(), text.size())));
}

/// Names, types and shapes as text; the bytes as pieces, which are hashed one by one.
std::string tensors_hash(const Safetensors& files, const ProgressFn& listener) {
  std::string all;
  std::vector<std::span<const std::byte>> pieces;
  for (const TensorView& tensor : files.tensors()) {
    all += fmt::format("{} {} {}|", tensor.name, tensor.type(), shape_text(tensor.shape));
    for (auto bytes = tensor.span(); !bytes.empty();) {
      pieces.push_back(bytes.first(std::min(kPiece, bytes.size())));
      bytes = bytes.subspan(pieces.back().size());
    }
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
  for (const std::string& hash : hashes) all += hash;
  return hash_of(all);
}

}  // namespace

std::string fingerprint(const Source& model, const Assembled& recipe, const CalibrationSet& text,
                        const ProgressFn& progress) {
  std::string all =
      fmt::format("format {}|{}|{}|{}", kFormatVersion, recipe_text(recipe.recipe),
                  read_text(model.folder / "config.json"), tensors_hash(model.files, progress));
  if (text.ids.defined()) {
    const torch::Tensor ids = text.ids.to(torch::kInt64).contiguous();
    all += fmt::format("|{}x{}|", ids.size(0), ids.size(1));
    all.append(static_cast<const char*>(ids.data_ptr()),
               static_cast<std::size_t>(ids.numel()) * sizeof(std::int64_t));
  }
  return hash_of(all);
}

}  // namespace karat
