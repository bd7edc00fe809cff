#include "pipeline/block_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/checked.h"
#include "core/output.h"
#include "karat/error.h"
#include "model/parallel.h"
#include "pipeline/owned.h"

namespace karat {
namespace {

using nlohmann::ordered_json;

ordered_json to_json(const LayerReport& report) {
  ordered_json json = {{"name", report.name},
                       {"out", report.out},
                       {"in", report.in},
                       {"bits", report.bits},
                       {"kept_share", report.kept_share},
                       {"weight_error", report.weight_error},
                       {"stored", report.stored},
                       {"seconds", report.seconds}};
  if (report.output_error) json["output_error"] = *report.output_error;
  if (report.sensitivity) json["sensitivity"] = *report.sensitivity;
  if (report.expected_loss) json["expected_loss"] = *report.expected_loss;
  if (report.few_tokens) json["few_tokens"] = *report.few_tokens;
  return json;
}

LayerReport from_json(const ordered_json& json) {
  LayerReport report{.name = json.at("name"),
                     .out = json.at("out"),
                     .in = json.at("in"),
                     .bits = json.at("bits"),
                     .kept_share = json.at("kept_share"),
                     .weight_error = json.at("weight_error")};
  report.stored = json.at("stored");
  report.seconds = json.at("seconds");
  if (json.contains("output_error")) report.output_error = json.at("output_error").get<double>();
  if (json.contains("sensitivity")) report.sensitivity = json.at("sensitivity").get<double>();
  if (json.contains("expected_loss")) report.expected_loss = json.at("expected_loss").get<double>();
  if (json.contains("few_tokens")) report.few_tokens = json.at("few_tokens").get<std::int64_t>();
  return report;
}

}  // namespace

PackedView QuantizedBlock::view(const LayerReport& layer) const {
  return packed_view(layer.name, layouts.at(layer.name), layer.out, layer.in,
                     [&](std::string_view name) { return file.find(name); });
}

BlockStore::BlockStore(std::filesystem::path folder) : folder_(std::move(folder)) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) fail("create " + folder_.string(), error.message(), "a folder that can be written");
}

std::filesystem::path BlockStore::path(std::size_t block) const {
  return folder_ / fmt::format("block-{:04}.safetensors", block);
}

std::size_t BlockStore::finished() const {
  std::size_t block = 0;
  while (std::filesystem::exists(path(block))) ++block;
  return block;
}

void BlockStore::put(std::size_t block, const std::vector<QuantizedLayer>& layers,
                     const ChangedTensors& changed) {
  QuantizationConfig config;
  ordered_json reports = ordered_json::array();
  std::vector<TensorView> views;
  for (const QuantizedLayer& layer : layers) {
    config.layers[layer.report.name] = layer.layout;
    reports.push_back(to_json(layer.report));
    for (const OwnedTensor& tensor : layer.tensors) views.push_back(tensor.view());
  }
  std::vector<OwnedTensor> dense;
  for (const auto& [name, values] : changed) dense.push_back(to_owned(name, values));
  for (const OwnedTensor& tensor : dense) views.push_back(tensor.view());
  const ordered_json quantization = {
      {"quantization_config", ordered_json::parse(quantization_json(config))}};
  AtomicFile file(path(block));
  write_safetensors(file.path(), views,
                    {{"config", quantization.dump()}, {"reports", reports.dump()}});
  file.commit();
}

QuantizedBlock BlockStore::get(std::size_t block) const {
  QuantizedBlock found{Safetensors::open(path(block)), {}, {}};
  const auto& metadata = found.file.metadata();
  found.layouts = parse_quantization(metadata.at("config"))->layers;
  for (const ordered_json& report : ordered_json::parse(metadata.at("reports")))
    found.reports.push_back(from_json(report));
  return found;
}

void BlockStore::decode(std::size_t block, Weights& weights) const {
  const QuantizedBlock found = get(block);
  std::vector<torch::Tensor> decoded(found.reports.size());
  const torch::Device device = weights.begin()->second.device();
  checked(found.file, [&] {
    parallel_indices(static_cast<std::int64_t>(decoded.size()), torch::kCPU, [&](auto i) {
      const LayerReport& layer = found.reports[static_cast<std::size_t>(i)];
      decoded[static_cast<std::size_t>(i)] =
          torch::tensor(unpack(found.view(layer))).view({layer.out, layer.in});
    });
    for (std::size_t i = 0; i < decoded.size(); ++i)
      weights[found.reports[i].name + ".weight"] = decoded[i].to(device);
    for (const TensorView& tensor : found.file.tensors())
      if (weights.contains(tensor.name))
        weights[tensor.name] = map_tensor(tensor).clone().to(device);
  });
}

ChangedTensors BlockStore::changed(std::size_t block) const {
  const QuantizedBlock found = get(block);
  const auto packed = [&](const std::string& tensor) {
    return std::ranges::any_of(found.reports, [&](const LayerReport& layer) {
      return tensor.starts_with(layer.name + ".") && tensor != layer.name + ".bias";
    });
  };
  ChangedTensors changed;
  for (const TensorView& tensor : found.file.tensors())
    if (!packed(tensor.name)) changed[tensor.name] = map_tensor(tensor).clone();
  found.file.check();
  return changed;
}

}  // namespace karat
