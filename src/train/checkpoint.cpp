#include "train/checkpoint.h"

#include <fmt/format.h>

#include <utility>

#include "core/checked.h"
#include "core/file.h"
#include "core/output.h"
#include "karat/error.h"
#include "load/json.h"

namespace karat {
namespace fs = std::filesystem;
using nlohmann::json;
namespace {

constexpr std::string_view kKey = "karat_checkpoint";
const std::string kMemory = "memory.";  // how names of what a policy remembers begin

DType type_of(const torch::Tensor& tensor) {
  return tensor.scalar_type() == torch::kUInt8 ? DType::u8 : DType::f32;
}

Weights on_cpu(const Weights& weights) {
  Weights copies;
  for (const auto& [name, tensor] : weights)
    copies[name] = tensor.detach().to(torch::kCPU).contiguous();
  return copies;
}

/// Copies the tensors `prefix` + name of the file over `weights`.
void restore(const Safetensors& file, const std::string& prefix, Weights& weights) {
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : weights) {
    const TensorView& view = file.get(prefix + name);
    const DType dtype = type_of(tensor);
    if (view.dtype != dtype || view.shape != tensor.sizes().vec())
      fail("read checkpoint tensor " + view.name,
           fmt::format("{} {}", view.type(), shape_text(view.shape)),
           fmt::format("{} {}", name_of(dtype), shape_text(tensor.sizes().vec())));
    tensor.detach().copy_(map_tensor(view));
  }
}

Weights memory_of(const Safetensors& file) {
  Weights memory;
  for (const TensorView& view : file.tensors())
    if (view.name.starts_with(kMemory))
      memory[view.name.substr(kMemory.size())] = map_tensor(view).to(torch::kFloat32).clone();
  return memory;
}

std::vector<TrainPoint> curve_from(const json& points) {
  std::vector<TrainPoint> curve;
  for (const json& p : points) {
    curve.push_back({.step = p.at("step"),
                     .loss = p.at("loss"),
                     .validation = std::nullopt,
                     .lr = p.at("lr"),
                     .gradient_norm = p.at("gradient_norm"),
                     .seconds = p.at("seconds")});
    if (p.contains("validation_loss")) curve.back().validation = p.at("validation_loss");
  }
  return curve;
}

void check_identity(const json& found, const json& wanted) {
  for (const auto& [key, value] : wanted.items())
    if (found.value(key, json()) != value)
      fail("resume", fmt::format("{} = {}", key, value.dump()),
           found.value(key, json()).dump() + " as in the checkpoint",
           "give the options the run began with, or start again without --resume");
}

Checkpoint parse(const fs::path& file, const std::string& text) {
  try {
    const json state = parse_json(text, file.string());
    Checkpoint checkpoint;
    checkpoint.identity = state.at("identity");
    checkpoint.step = state.at("step");
    checkpoint.loss_sum = state.at("loss_sum");
    checkpoint.loss_count = state.at("loss_count");
    checkpoint.result = {.curve = curve_from(state.at("curve")),
                         .parameters = state.at("parameters"),
                         .tokens = state.at("tokens"),
                         .seconds = state.at("seconds"),
                         .cpu_seconds = state.at("cpu_seconds")};
    return checkpoint;
  } catch (const json::exception&) {
    fail("read " + file.string(), "a state with an entry missing or of another type",
         "that of a training run of this version");
  }
}

}  // namespace

json to_json(const std::vector<TrainPoint>& curve) {
  json points = json::array();
  for (const TrainPoint& point : curve) {
    points.push_back({{"step", point.step},
                      {"loss", point.loss},
                      {"lr", point.lr},
                      {"gradient_norm", point.gradient_norm},
                      {"seconds", point.seconds}});
    if (point.validation) points.back()["validation_loss"] = *point.validation;
  }
  return points;
}

std::vector<TensorView> views_of(const std::string& prefix, const Weights& weights) {
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : weights)
    views.push_back({.name = prefix + name,
                     .dtype = type_of(tensor),
                     .shape = tensor.sizes().vec(),
                     .data = static_cast<const std::byte*>(tensor.data_ptr())});
  return views;
}

void save_checkpoint(const fs::path& file, const Checkpoint& checkpoint, const Weights& weights,
                     const Weights& optimizer) {
  const std::pair<std::string, Weights> parts[] = {
      {"weights.", on_cpu(weights)}, {"", on_cpu(optimizer)}, {kMemory, on_cpu(checkpoint.memory)}};
  std::vector<TensorView> views;
  for (const auto& [prefix, tensors] : parts)
    for (TensorView& view : views_of(prefix, tensors)) views.push_back(std::move(view));
  const TrainResult& so_far = checkpoint.result;
  const json state = {{"identity", checkpoint.identity},  {"step", checkpoint.step},
                      {"loss_sum", checkpoint.loss_sum},  {"loss_count", checkpoint.loss_count},
                      {"curve", to_json(so_far.curve)},   {"parameters", so_far.parameters},
                      {"tokens", so_far.tokens},          {"seconds", so_far.seconds},
                      {"cpu_seconds", so_far.cpu_seconds}};
  AtomicFile written(file);
  write_safetensors(written.path(), views, {{std::string(kKey), state.dump()}});
  written.commit();
}

bool is_checkpoint(const fs::path& file) {
  constexpr std::size_t kHead = 1 << 20;
  const auto mapped = MappedFile::open(file);  // the key stands in the header, whole or not
  const bool found = mapped->text().substr(0, kHead).find(kKey) != std::string_view::npos;
  mapped->check();
  return found;
}

Checkpoint load_checkpoint(const fs::path& file, const json& identity, Weights& weights,
                           Weights& optimizer) {
  if (!fs::exists(file))
    fail("resume", "no checkpoint at " + file.string(), "an interrupted run",
         "start it without --resume");
  const Safetensors tensors = Safetensors::open(file);
  const auto text = tensors.metadata().find(std::string(kKey));
  if (text == tensors.metadata().end())
    fail("resume", file.string() + " without training state", "a checkpoint of karat train");
  Checkpoint checkpoint = parse(file, text->second);
  check_identity(checkpoint.identity, identity);
  checked(tensors, [&] {
    restore(tensors, "weights.", weights);
    restore(tensors, "", optimizer);
    checkpoint.memory = memory_of(tensors);
  });
  return checkpoint;
}

}  // namespace karat
