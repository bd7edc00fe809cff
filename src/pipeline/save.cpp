// save: a folder as Hugging Face lays out a checkpoint, with a config that says how to read it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "core/file.h"
#include "core/threads.h"
#include "karat/error.h"
#include "karat/language_model.h"
#include "load/model_files.h"
#include "pipeline/budget.h"
#include "pipeline/file_size.h"
#include "pipeline/report.h"
#include "pipeline/shards.h"
#include "pipeline/steps.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

/// A tensor of a GGUF type in the type of dense_tensors().
OwnedTensor as_halves(const TensorView& view) {
  OwnedTensor halves{view.name, DType::f16, view.shape, {}};
  halves.data.resize(static_cast<std::size_t>(view.numel()) * 2);
  parallel_for(view.shape[0], 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      std::byte* to = halves.data.data() + halves.data.size() / view.shape[0] * row;
      for (const float weight : to_floats(rows_of(view, row, 1))) {
        const std::uint16_t half = float_to_f16(weight);
        if (!std::isfinite(f16_to_float(half)))
          fail("save " + view.name, "a weight beyond FP16", "weights below 65520");
        std::memcpy(to, &half, 2);
        to += 2;
      }
    }
  });
  return halves;
}

/// Every tensor that is not the weight of a quantized layer, unless it is among `changed`.
void add_dense(ShardWriter& shards, const Source& model,
               const std::vector<QuantizedBlock>& changed) {
  std::set<std::string> packed, written;
  for (const QuantizedBlock& block : changed) {
    for (const TensorView& tensor : block.file.tensors()) written.insert(tensor.name);
    for (const LayerReport& layer : block.reports) packed.insert(layer.name);
  }
  for (const TensorView& view : dense_tensors(model, packed)) {
    if (written.contains(view.name)) continue;
    if (view.dtype == DType::block)
      shards.add(as_halves(view));
    else
      shards.add(view);
  }
}

/// Names the experts that too few tokens visited.
void tell_few_tokens(QuantizeReport& report) {
  constexpr std::size_t kShown = 4;
  std::vector<std::string> few;
  for (const LayerReport& layer : report.layers)
    if (layer.few_tokens) few.push_back(fmt::format("{} ({})", layer.name, *layer.few_tokens));
  if (few.empty()) return;
  const std::size_t count = few.size();
  few.resize(std::min(count, kShown));
  report.warnings.push_back(fmt::format(
      "{} layers of experts saw fewer tokens of the calibration text than they have inputs, and "
      "share statistics with the other experts of their block: {}{}; more samples make them their "
      "own",
      count, fmt::join(few, ", "), count > kShown ? ", …" : ""));
}

void count_bits(QuantizeReport& report, const Source& model) {
  double bits = 0, weights = 0;
  for (const LayerReport& layer : report.layers) {
    const double count = static_cast<double>(layer.out) * static_cast<double>(layer.in);
    bits += layer.bits * count;
    weights += count;
  }
  report.layer_bits = bits / weights;
  report.file_bits =
      8.0 * static_cast<double>(report.file_bytes) / static_cast<double>(parameters_of(model.arch));
}

std::int64_t weight_bytes(const fs::path& folder) {
  std::int64_t bytes = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".safetensors")
      bytes += static_cast<std::int64_t>(entry.file_size());
  return bytes;
}

/// The original config.json with a quantization_config.
std::string quantized_config(const std::filesystem::path& folder,
                             const QuantizationConfig& config) {
  nlohmann::ordered_json json = nlohmann::ordered_json::parse(config_text(folder));
  json["quantization_config"] = nlohmann::ordered_json::parse(quantization_json(config));
  return json.dump(2) + "\n";
}

}  // namespace

void check_runs(const fs::path& folder) {
  LanguageModel::open(folder);
  Tokenizer::open(folder);
}

void save(const Output& output, const Source& model, const BlockStore& ends,
          const BlockStore& blocks, QuantizeReport& report) {
  OutputFolder folder(output);
  ShardWriter shards(folder.path(), kShardBytes);
  QuantizationConfig config{.method = report.recipe.name, .layers = {}};
  std::vector<QuantizedBlock> open;  // the shards read their bytes
  for (std::size_t i = 0; i < model.arch.blocks.size(); ++i) open.push_back(blocks.get(i));
  for (const QuantizedBlock& block : open)
    report.layers.insert(report.layers.end(), block.reports.begin(), block.reports.end());
  tell_few_tokens(report);
  if (ends.finished() > 0) report.ends = open.emplace_back(ends.get(0)).reports;
  add_dense(shards, model, open);
  for (const QuantizedBlock& block : open) {
    for (const TensorView& tensor : block.file.tensors()) shards.add(tensor);
    config.layers.insert(block.layouts.begin(), block.layouts.end());
  }
  shards.finish();
  model.files.check();  // before what was read of it appears
  for (const QuantizedBlock& block : open) block.file.check();
  if (!report.ends.empty()) config.version = kEndsVersion;
  write_file(folder.path() / "config.json", quantized_config(model.folder, config));
  for (const auto& [file, text] : side_texts(model.folder)) {
    fs::create_directories((folder.path() / file).parent_path());
    write_file(folder.path() / file, text);
  }
  report.file_bytes = weight_bytes(folder.path());
  count_bits(report, model);
  report.files = names_below(folder.path());
  report.peak_bytes = peak_memory();
  write_file(folder.path() / "karat_report.json", to_json(report));
  check_runs(folder.path());
  folder.commit();
}

}  // namespace karat
