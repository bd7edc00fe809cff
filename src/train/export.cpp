#include "train/export.h"

#include <set>

#include "core/file.h"
#include "core/finite.h"
#include "core/hash.h"
#include "core/threads.h"
#include "karat/error.h"
#include "karat/tokenizer.h"
#include "load/model_files.h"

namespace karat {
namespace fs = std::filesystem;
using nlohmann::json;
namespace {

torch::Dtype torch_type(DType dtype) {
  if (dtype == DType::f32) return torch::kFloat32;
  return dtype == DType::f16 ? torch::kFloat16 : torch::kBFloat16;
}

std::string torch_name(DType dtype) {
  if (dtype == DType::f32) return "float32";
  return dtype == DType::f16 ? "float16" : "bfloat16";
}

Weights stored(const Architecture& arch, const Weights& weights, DType dtype) {
  std::set<std::string> transposed;
  for (const Block& block : arch.blocks)
    for (const Linear* linear : block.linears())
      if (linear->transposed) transposed.insert(linear->name + ".weight");
  Weights result;
  for (const auto& [name, tensor] : weights) {
    torch::Tensor value = tensor.detach().to(torch::kCPU);
    if (transposed.contains(name)) value = value.t();
    result[name] = value.to(torch_type(dtype)).contiguous();
    if (!all_finite(result[name]))
      fail("save " + name, "a value beyond " + torch_name(dtype), "finite weights",
           "save as bf16 or f32");
  }
  return result;
}

}  // namespace

json training_log(const TrainOptions& options, const Checkpoint& state,
                  std::int64_t tokens_in_data) {
  const TrainResult& result = state.result;
  json files = json::array();
  for (const auto* list : {&options.data, &options.validation})
    for (const fs::path& file : *list)
      files.push_back({{"file", file.filename().string()},
                       {"bytes", fs::file_size(file)},
                       {"sha256", sha256_file(file)},
                       {"use", list == &options.data ? "training" : "validation"}});
  return {{"settings", state.identity},
          {"steps", state.step},
          {"files", files},
          {"parameters", result.parameters},
          {"tokens_in_data", tokens_in_data},
          {"tokens_trained", result.tokens},
          {"seconds", result.seconds},
          {"cpu_seconds", result.cpu_seconds},
          {"optimizer_bytes", result.state_bytes},
          {"weight_bytes", result.weight_bytes},
          {"threads", thread_count()},
          {"device", options.cuda ? "cuda" : "cpu"},
          {"curve", to_json(result.curve)},
          {"validation_losses", result.validation_losses},
          {"gradient_alignment", result.gradient_alignment}};
}

void export_model(const fs::path& folder, const Architecture& arch, const Weights& weights,
                  const json& config, const fs::path& tokenizer, DType dtype, const json& log) {
  json written = config;
  // The key's name changed with transformers 4.56; each reads the other's.
  written[config.contains("dtype") ? "dtype" : "torch_dtype"] = torch_name(dtype);
  write_file(folder / "config.json", written.dump(2) + "\n");
  const Weights tensors = stored(arch, weights, dtype);
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : tensors)
    views.push_back({.name = name,
                     .dtype = dtype,
                     .shape = tensor.sizes().vec(),
                     .data = static_cast<const std::byte*>(tensor.data_ptr())});
  write_safetensors(folder / "model.safetensors", views, {{"format", "pt"}});
  for (const auto& [name, text] : tokenizer_texts(tokenizer)) write_file(folder / name, text);
  write_file(folder / "training_log.json", log.dump(1) + "\n");
}

json export_quantizer(const fs::path& folder, const Architecture& arch,
                      const TrainedThrough& quantizer, const Weights& learned, DType dtype) {
  json layers = json::array();
  std::int64_t weights = 0, parameters = 0;
  for (const Block& block : arch.blocks)
    for (const Linear* layer : block.linears()) {
      layers.push_back(layer->name);
      weights += layer->in * layer->out;
    }
  Weights stored;
  for (const auto& [name, tensor] : learned) {
    stored[name] = tensor.detach().to(torch::kCPU).contiguous();
    parameters += tensor.numel();
  }
  json record = {{"quantizer", quantizer.text},
                 {"layers", layers},
                 {"quantized_weights", weights},
                 {"learned_parameters", parameters},
                 {"exact", dtype == DType::f32}};
  if (quantizer.on_lattice) record[kOnLattice] = true;
  write_file(folder / kQuantizerRecord, record.dump(1) + "\n");
  if (!stored.empty())
    write_safetensors(folder / kQuantizerLearned, views_of("", stored), {{"format", "pt"}});
  return record;
}

void check_folder(const fs::path& folder) {
  Architecture arch = read_architecture(folder);
  Safetensors weights = Safetensors::open_folder(folder);
  match_weights(arch, weights);
  Tokenizer::open(folder);
}

}  // namespace karat
