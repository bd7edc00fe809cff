#include "tuner/shared/scale_gate.h"

namespace karat {
namespace {

constexpr const char* kSeen = "gate.seen";  // steps of the window at hand
constexpr const char* kSign = "sign";
constexpr const char* kFlips = "flips";
constexpr const char* kApart = "apart";
constexpr const char* kFrozen = "frozen";
constexpr const char* kDisorder = "disorder";
constexpr const char* kConflict = "conflict";

std::string name_in_memory(const char* what, const std::string& scale) {
  return std::string("gate.") + what + "." + scale;
}

torch::Tensor found(const Weights& memory, const char* what, const std::string& scale) {
  const auto entry = memory.find(name_in_memory(what, scale));
  return entry == memory.end() ? torch::Tensor() : entry->second;
}

}  // namespace

torch::Tensor& ScaleGate::remembered(const char* what, const std::string& scale) const {
  return memory_[name_in_memory(what, scale)];
}

void ScaleGate::combine(Weights& task, const Weights& smooth) {
  const torch::NoGradGuard no_grad;
  torch::Tensor& seen = memory_.try_emplace(kSeen, torch::zeros({1})).first->second;
  const bool first = seen.item<float>() == 0;
  for (const std::string& scale : scales_) {
    torch::Tensor& one = task.at(scale);
    const torch::Tensor &other = smooth.at(scale), sign = one.sign();
    for (const char* what : {kFlips, kApart, kFrozen})
      if (torch::Tensor& held = remembered(what, scale); !held.defined())
        held = torch::zeros_like(sign);
    if (!first) remembered(kFlips, scale).add_(sign != remembered(kSign, scale));
    remembered(kApart, scale).add_(sign != other.sign());
    remembered(kSign, scale) = sign;
    one = torch::where(remembered(kFrozen, scale) > 0, other, (one + other) * 0.5);
  }
  seen.add_(1);
  if (seen.item<float>() == static_cast<float>(options_.window)) decide();
}

void ScaleGate::decide() {
  const auto steps = static_cast<double>(options_.window);
  for (const std::string& scale : scales_) {
    torch::Tensor &flips = remembered(kFlips, scale), &apart = remembered(kApart, scale),
                  &frozen = remembered(kFrozen, scale);
    const torch::Tensor disorder = flips / (steps - 1);
    const torch::Tensor calm = (disorder < options_.threshold).to(frozen.scalar_type());
    frozen = options_.thaws ? calm : torch::maximum(frozen, calm);
    remembered(kDisorder, scale) = disorder;
    remembered(kConflict, scale) = apart / steps;
    flips.zero_();
    apart.zero_();
  }
  memory_.at(kSeen).zero_();
}

GateWindow gate_window(const Weights& memory, const std::string& scale) {
  const torch::Tensor disorder = found(memory, kDisorder, scale);
  if (!disorder.defined()) return {};
  return {disorder, found(memory, kConflict, scale), found(memory, kFrozen, scale)};
}

bool gate_decided(const Weights& memory) {
  const auto seen = memory.find(kSeen);
  return seen != memory.end() && seen->second.item<float>() == 0;
}

}  // namespace karat
