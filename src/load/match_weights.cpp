// Does a checkpoint hold what its config.json promises?
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "karat/architecture.h"
#include "karat/error.h"
#include "karat/safetensors.h"
#include "load/checkpoint.h"
#include "load/json.h"
#include "load/stacks.h"

namespace karat {
namespace {

/// Calls change(name) on every name in `arch`, in whatever field it stands.
template <class Change>
void for_each_name(Architecture& arch, Change change) {
  for (std::string* name : {&arch.embedding, &arch.positions, &arch.final_norm.name, &arch.head,
                            &arch.own_head, &arch.head_bias})
    change(*name);
  for (Block& block : arch.blocks) {
    visit_parts([&](Role, auto& part) { change(part.name); }, block);
    visit_linears(block, [&](Role, Linear& linear) {
      for (StackedRows& stack : linear.stacks) change(stack.tensor);
    });
  }
}

/// Renames the tensors to where the checkpoint holds them. Those saved from the bare model lack the
/// attribute that holds it in the language model.
void follow_places(Architecture& arch, const Safetensors& weights) {
  const std::string own = arch.embedding.substr(0, arch.embedding.find('.') + 1);
  const auto holds = [&](const std::string& weight) {
    return weights.find(weight) != nullptr || is_packed(weights, weight);
  };
  if (own.empty() || holds(arch.embedding)) return;
  std::vector<NamePlace> places = arch.places;
  places.push_back({"", ""});
  for (const NamePlace& place : places) {
    if (!holds(place.body + arch.embedding.substr(own.size()))) continue;
    for_each_name(arch, [&](std::string& name) {
      if (name.starts_with(own))
        name.replace(0, own.size(), place.body);
      else if (!name.empty())
        name.insert(0, place.head);
    });
    return;
  }
}

void check(const NamedShape& expected, const Safetensors& weights) {
  const std::string operation = "match weights, tensor " + expected.name;
  const TensorView* view = weights.find(expected.name);
  if (view == nullptr)
    fail(operation, "nothing in the checkpoint", "shape " + shape_text(expected.shape),
         "config.json and the weights do not belong together, or the checkpoint is incomplete");
  if (view->shape != expected.shape)
    fail(operation, "shape " + shape_text(view->shape), shape_text(expected.shape),
         "config.json and the weights do not belong together");
  if (!has_floats(view->dtype))
    fail(operation, excerpt(view->type()), "F32, F16 or BF16", "convert the checkpoint to BF16");
}

/// A bias that config.json does not know would be left out silently.
void refuse_unknown_bias(const Linear& linear, const Safetensors& weights) {
  if (!linear.bias && weights.find(linear.name + ".bias") != nullptr)
    fail("match weights, tensor " + linear.name + ".bias", "a bias",
         "none according to config.json", "config.json and the weights do not belong together");
}

void tell_unread(Architecture& arch, const Safetensors& weights) {
  constexpr std::size_t kShown = 4;
  std::vector<std::string> names = unread_tensors(arch, weights);
  if (names.empty()) return;
  const std::size_t count = names.size();
  names.resize(std::min(count, kShown));
  arch.warnings.push_back(fmt::format(
      "the checkpoint holds {} tensor{} that nothing reads: {}{}", count, count == 1 ? "" : "s",
      excerpt(fmt::format("{}", fmt::join(names, ", "))), count > kShown ? ", …" : ""));
}

}  // namespace

void match_weights(Architecture& arch, Safetensors& weights) {
  follow_places(arch, weights);
  split_stacks(arch, weights);
  choose_head(arch, weights);
  for (const Block& block : arch.blocks)
    for (const Linear* linear : block.linears()) refuse_unknown_bias(*linear, weights);
  const std::set<std::string> packed = packed_weights(arch, weights);
  for (const NamedShape& expected : tensor_shapes(arch))
    if (!packed.contains(expected.name)) check(expected, weights);
  tell_unread(arch, weights);
}

}  // namespace karat
