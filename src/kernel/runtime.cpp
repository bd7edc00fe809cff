#include "karat/runtime.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/threads.h"
#include "karat/error.h"
#include "kernel/kernel.h"

namespace karat {
namespace {

const KernelSet* named_kernels(std::string_view name) {
  if (name.empty()) return nullptr;
  for (const KernelSet* set : usable_kernels())
    if (set->isa == name) return set;
  fail("choose kernels", fmt::format("\"{}\"", name),
       fmt::format("one of {}", fmt::join(instruction_sets(), ", ")),
       "these are what this CPU can run");
}

}  // namespace

std::vector<std::string_view> instruction_sets() {
  std::vector<std::string_view> names;
  for (const KernelSet* set : usable_kernels()) names.push_back(set->isa);
  return names;
}

Activations parse_activations(std::string_view name) {
  for (const Activations one : {Activations::f32, Activations::q8})
    if (name_of(one) == name) return one;
  fail("activations", fmt::format("\"{}\"", name), "f32 or q8");
}

std::string_view name_of(Activations activations) {
  return activations == Activations::f32 ? "f32" : "q8";
}

Runtime::Runtime(const RuntimeOptions& options)
    : state_(std::make_shared<const State>(
          make_pool(options.threads == 0 ? core_count() : options.threads),
          named_kernels(options.instruction_set), options.activations)) {}

Runtime Runtime::current() {
  return Runtime(current_state().shared_from_this());
}

int Runtime::threads() const {
  return size_of(*state_->pool);
}
std::string_view Runtime::instruction_set() const {
  return kernels_of(*state_).isa;
}
Activations Runtime::activations() const {
  return state_->activations;
}

Runtime Runtime::with(Activations activations) const {
  return Runtime(std::make_shared<const State>(state_->pool, state_->kernels, activations));
}

}  // namespace karat
