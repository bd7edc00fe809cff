// The sentence: load, calibrate, measure, choose, quantize, save.
#include "karat/quantize.h"

#include <chrono>
#include <set>

#include "core/file.h"
#include "karat/error.h"
#include "pipeline/steps.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

/// Every tensor that is not the weight of a quantized layer, in its own type.
void add_dense(ShardWriter& shards, const Source& model) {
  std::set<std::string> quantized;
  for (const Block& block : model.arch.blocks)
    for (const Linear* linear : block.linears()) quantized.insert(linear->name + ".weight");
  for (const TensorView& view : model.files.tensors())
    if (!quantized.contains(view.name)) shards.add(view);
}

void count_bits(QuantizeReport& report, const Source& model) {
  double bits = 0, weights = 0, all = 0;
  for (const LayerReport& layer : report.layers) {
    const double count = static_cast<double>(layer.out) * static_cast<double>(layer.in);
    bits += layer.bits * count;
    weights += count;
  }
  for (const NamedShape& tensor : tensor_shapes(model.arch)) {
    double count = 1;
    for (const std::int64_t size : tensor.shape) count *= static_cast<double>(size);
    all += count;
  }
  report.layer_bits = bits / weights;
  report.file_bits = 8.0 * static_cast<double>(report.file_bytes) / all;
}

std::int64_t weight_bytes(const fs::path& folder) {
  std::int64_t bytes = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".safetensors")
      bytes += static_cast<std::int64_t>(entry.file_size());
  return bytes;
}

/// The files that make the shards a model, and the report; then the folder appears.
void save(OutputFolder& folder, const Source& model, const QuantizationConfig& config,
          QuantizeReport& report) {
  write_file(folder.path() / "config.json", quantized_config(model.folder, config));
  for (const fs::path& file : Tokenizer::files(model.folder))
    write_file(folder.path() / file.filename(), read_text(file));
  report.file_bytes = weight_bytes(folder.path());
  count_bits(report, model);
  report.peak_bytes = peak_memory();
  write_file(folder.path() / "karat_report.json", to_json(report));
  folder.commit();
}

void check_paths(const QuantizeJob& job) {
  std::error_code ignored;
  if (fs::equivalent(job.model, job.out, ignored))
    fail("quantize " + job.model.string(), "the same folder as output", "another folder",
         "the original would be lost");
  if (fs::exists(job.model) && Tokenizer::files(job.model).empty())
    fail("quantize " + job.model.string(), "no tokenizer",
         "tokenizer.json or tokenizer.model beside the weights");
}

}  // namespace

QuantizeReport quantize(const QuantizeJob& job) {
  const auto start = std::chrono::steady_clock::now();
  const Assembled recipe = assemble(find_method(job.method), job.overrides);
  check_paths(job);
  const Source model = load(job.model);
  const CalibrationSet text =
      calibrate(model, recipe.needs(), recipe.recipe.samples, job.calibration);
  OutputFolder folder(job.out, job.replace);

  Chooser choose(recipe.selector);
  auto carried = std::make_unique<Carried>(folder.path() / "carried");
  const MeasureStep step{recipe.metric, recipe.grid, recipe.selector, carried.get()};
  const SweepResult measured = measure(model, step, text, std::ref(choose), job.progress);
  const Chosen kept = choose.finish();

  ShardWriter shards(folder.path(), kShardBytes);
  add_dense(shards, model);
  QuantizationConfig config{.method = recipe.recipe.name, .layers = {}};
  const auto take = [&](const std::string& layer, Stored& stored) {
    config.layers[layer] = stored.layout;
    for (OwnedTensor& tensor : stored.tensors) shards.add(std::move(tensor));
  };
  QuantizeReport report{
      .model = model.name(),
      .recipe = recipe.recipe,
      .overrides = job.overrides,
      .calibration = {},
      .loss = measured.loss,
      .layers = quantize_blocks(model, recipe, text, kept, *carried, take, job.progress)};
  carried.reset();
  shards.finish();
  if (text.ids.defined()) report.calibration = text;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  save(folder, model, config, report);
  return report;
}

}  // namespace karat
