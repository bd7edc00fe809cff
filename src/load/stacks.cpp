#include "load/stacks.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "karat/error.h"

namespace karat {
namespace {

/// A layer and where its rows begin.
struct Piece {
  const Linear* layer;
  std::int64_t first;
};

/// The tensors of `weights` that hold layers without a tensor of their own.
std::map<std::string, std::vector<Piece>> find_stacks(const Architecture& arch,
                                                      const Safetensors& weights) {
  std::map<std::string, std::vector<Piece>> found;
  for (const Block& block : arch.blocks)
    for (const Linear* layer : block.linears())
      for (const StackedRows& stack : layer->stacks)
        if (weights.find(stack.tensor) != nullptr &&
            weights.find(layer->name + ".weight") == nullptr)
          found[stack.tensor].push_back({layer, stack.first});
  return found;
}

void check(const TensorView& stack, const std::vector<Piece>& pieces) {
  std::int64_t rows = 0;
  for (const Piece& piece : pieces) rows += piece.layer->out;
  const std::int64_t columns = pieces.front().layer->in;
  const auto& shape = stack.shape;
  if (shape.size() != 3 || shape[0] * shape[1] != rows || shape[2] != columns)
    fail("match weights, tensor " + stack.name, "shape " + shape_text(shape),
         fmt::format("[experts, rows, {}] with {} rows in all", columns, rows),
         "config.json and the weights do not belong together");
}

}  // namespace

void split_stacks(const Architecture& arch, Safetensors& weights) {
  std::vector<TensorView> parts;
  std::set<std::string> names;
  for (const auto& [name, pieces] : find_stacks(arch, weights)) {
    TensorView stack = weights.get(name);
    check(stack, pieces);
    stack.shape = {stack.shape[0] * stack.shape[1], stack.shape[2]};
    for (const Piece& piece : pieces) {
      parts.push_back(rows_of(stack, piece.first, piece.layer->out));
      parts.back().name = piece.layer->name + ".weight";
    }
    names.insert(name);
  }
  weights.replace(names, std::move(parts));
}

}  // namespace karat
