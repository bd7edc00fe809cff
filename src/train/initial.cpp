#include "train/initial.h"

#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "core/rng.h"

namespace karat {
namespace {

/// Box–Muller over our own generator: the same numbers under every LibTorch.
torch::Tensor gaussian(const std::vector<std::int64_t>& shape, Rng rng, double deviation) {
  torch::Tensor tensor = torch::empty(shape, torch::kFloat32);
  auto* values = tensor.data_ptr<float>();
  for (std::int64_t i = 0; i < tensor.numel(); i += 2) {
    const double radius = deviation * std::sqrt(-2 * std::log(1 - rng.uniform()));
    const double angle = 2 * std::numbers::pi * rng.uniform();
    values[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < tensor.numel()) values[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return tensor;
}

struct Roles {
  std::set<std::string> residual, transposed;  // names of `.weight` tensors
  std::map<std::string, float> norms;          // and what multiplies by one
};

Roles roles_of(const Architecture& arch) {
  Roles roles;
  const auto add = [&](const Norm& norm) { roles.norms[norm.name + ".weight"] = 1 - norm.offset; };
  for (const Block& block : arch.blocks) {
    visit_linears(block, [&](Role role, const Linear& linear) {
      if (ends_branch(role)) roles.residual.insert(linear.name + ".weight");
      if (linear.transposed) roles.transposed.insert(linear.name + ".weight");
    });
    visit_norms(block, [&](Role, const Norm& norm) { add(norm); });
  }
  add(arch.final_norm);
  return roles;
}

}  // namespace

Weights initial_weights(const Architecture& arch, std::uint64_t seed, double deviation) {
  const Roles roles = roles_of(arch);
  const double residual = 1 / std::sqrt(2.0 * static_cast<double>(arch.blocks.size()));
  Rng streams(seed);
  Weights weights;
  for (const auto& [name, shape] : tensor_shapes(arch)) {
    const Rng stream(streams.next());
    if (const auto norm = roles.norms.find(name); norm != roles.norms.end())
      weights[name] = torch::full(shape, norm->second);
    else if (shape.size() < 2)
      weights[name] = torch::zeros(shape);
    else
      weights[name] =
          gaussian(shape, stream, deviation * (roles.residual.contains(name) ? residual : 1));
    if (roles.transposed.contains(name)) weights[name] = weights[name].t().contiguous();
  }
  return weights;
}

}  // namespace karat
