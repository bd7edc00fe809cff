#include "pipeline/solutions.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/output.h"
#include "karat/error.h"
#include "karat/graph.h"
#include "pipeline/owned.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

OwnedTensor owned_bytes(const std::string& name, const torch::Tensor& values) {  // U8 or Bool
  const torch::Tensor flat = values.to(torch::kCPU, torch::kUInt8).contiguous();
  const auto* bytes = static_cast<const std::byte*>(flat.data_ptr());
  return own_bytes(name, DType::u8, values.sizes().vec(),
                   {bytes, static_cast<std::size_t>(flat.numel())});
}

/// Part k of the parameters of all groups, [groups, …].
OwnedTensor owned_params(const std::string& name, const std::vector<GridParams>& params,
                         std::size_t k) {
  std::vector<torch::Tensor> parts;
  for (const GridParams& group : params) parts.push_back(group.at(k));
  const torch::Tensor all = torch::stack(parts);
  return all.scalar_type() == torch::kUInt8 ? owned_bytes(name, all) : to_owned(name, all);
}

void add_layer(const SolvedLayer& layer, bool weights, std::vector<OwnedTensor>& tensors) {
  const auto& [codes, params, weight, kept, basis] = layer.solution;
  tensors.push_back(owned_bytes(layer.name + ".codes", codes));
  for (std::size_t k = 0; k < params.at(0).size(); ++k)
    tensors.push_back(owned_params(fmt::format("{}.params.{}", layer.name, k), params, k));
  const auto add = [&](const char* part, const torch::Tensor& values) {
    if (values.defined()) tensors.push_back(to_owned(layer.name + part, values));
  };
  if (weights || kept.defined()) add(".weight", weight);
  if (kept.defined()) tensors.push_back(owned_bytes(layer.name + ".kept", kept));
  add(".multiplier", basis.multiplier);
  add(".original", layer.original);
}

/// The tensor of this name; undefined where there is none.
torch::Tensor part_of(const Safetensors& file, const std::string& name) {
  const TensorView* view = file.find(name);
  return view == nullptr ? torch::Tensor() : map_tensor(*view);
}

SolvedLayer layer_from(const Safetensors& file, const nlohmann::json& json, const Grid& grid) {
  SolvedLayer layer{.name = json.at("name"), .grid = grid};
  Solution& solution = layer.solution;
  const auto part = [&](const std::string& of) { return part_of(file, layer.name + of); };
  solution.codes = part(".codes");
  for (std::size_t k = 0;; ++k) {
    const torch::Tensor all = part(fmt::format(".params.{}", k));
    if (!all.defined()) break;
    solution.params.resize(static_cast<std::size_t>(all.size(0)));
    for (std::size_t g = 0; g < solution.params.size(); ++g)
      solution.params[g].push_back(all.select(0, static_cast<std::int64_t>(g)).clone());
  }
  solution.weight = part(".weight");
  if (const torch::Tensor kept = part(".kept"); kept.defined())
    solution.kept = kept.view(torch::kBool);
  solution.basis.multiplier = part(".multiplier");
  if (json.contains("rotation")) solution.basis.rotation = json.at("rotation");
  layer.original = part(".original");
  return layer;
}

}  // namespace

SolutionStore::SolutionStore(fs::path folder, bool weights)
    : folder_(std::move(folder)), weights_(weights) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) fail("create " + folder_.string(), error.message(), "a folder that can be written");
}

fs::path SolutionStore::path(std::size_t block) const {
  return folder_ / fmt::format("block-{:04}.safetensors", block);
}

void SolutionStore::put(std::size_t block, const std::vector<SolvedLayer>& layers) const {
  std::vector<OwnedTensor> tensors;
  nlohmann::json names = nlohmann::json::array();
  for (const SolvedLayer& layer : layers) {
    add_layer(layer, weights_, tensors);
    names.push_back({{"name", layer.name}});
    if (const auto& seed = layer.solution.basis.rotation) names.back()["rotation"] = *seed;
  }
  std::vector<TensorView> views;
  for (const OwnedTensor& tensor : tensors) views.push_back(tensor.view());
  AtomicFile file(path(block));
  write_safetensors(file.path(), views, {{"layers", names.dump()}});
  file.commit();
}

SolvedBlock SolutionStore::get(
    std::size_t block, const std::function<const Grid&(const std::string& layer)>& grid_of) const {
  SolvedBlock found{.file = Safetensors::open(path(block))};
  const auto layers = nlohmann::json::parse(found.file.metadata().at("layers"));
  for (const nlohmann::json& layer : layers)
    found.layers.push_back(layer_from(found.file, layer, grid_of(layer.at("name"))));
  found.file.check();
  return found;
}

}  // namespace karat
