#include "pipeline/measured.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/output.h"
#include "karat/safetensors.h"

namespace karat {
namespace {

using nlohmann::json;

std::string to_text(const Sensitivities& found) {
  json parts = json::object();
  for (const auto& [name, part] : found) {
    json errors = json::object();
    for (const auto& [bits, error] : part.errors) errors[std::to_string(bits)] = error;
    parts[name] = {{"weights", part.weights}, {"cost", part.cost}, {"errors", errors}};
  }
  return parts.dump();
}

Sensitivities from_text(const std::string& text) {
  const json parts = json::parse(text);
  Sensitivities found;
  for (const auto& [name, part] : parts.items()) {
    Sensitivity& one = found[name];
    one.weights = part.at("weights");
    one.cost = part.at("cost");
    for (const auto& [bits, error] : part.at("errors").items()) one.errors[std::stoi(bits)] = error;
  }
  return found;
}

}  // namespace

void write_measured(const std::filesystem::path& file, const Measured& found) {
  std::vector<TensorView> views;  // flat indices by layer
  for (const auto& [layer, indices] : found.kept)
    views.push_back(
        {layer, DType::i64, {indices.numel()}, static_cast<const std::byte*>(indices.data_ptr())});
  AtomicFile written(file);
  write_safetensors(
      written.path(), views,
      {{"loss", fmt::format("{}", found.loss)}, {"sensitivities", to_text(found.sensitivities)}});
  written.commit();
}

Measured read_measured(const std::filesystem::path& path) {
  const Safetensors file = Safetensors::open(path);
  Measured found{.sensitivities = from_text(file.metadata().at("sensitivities")),
                 .loss = std::stod(file.metadata().at("loss"))};
  for (const TensorView& view : file.tensors()) found.kept[view.name] = map_tensor(view).clone();
  file.check();
  return found;
}

}  // namespace karat
