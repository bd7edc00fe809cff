// The sentence: load, calibrate, measure, choose, quantize, save.
#include "karat/quantize.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <set>

#include "core/file.h"
#include "core/output.h"
#include "karat/error.h"
#include "karat/language_model.h"
#include "load/side_files.h"
#include "pipeline/fits.h"
#include "pipeline/former.h"
#include "pipeline/identity.h"
#include "pipeline/passes.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

/// Every tensor that is not the weight of a quantized layer, in its own type, unless it is among
/// `changed`.
void add_dense(ShardWriter& shards, const Source& model,
               const std::vector<QuantizedBlock>& changed) {
  std::set<std::string> quantized;
  for (const QuantizedBlock& block : changed)
    for (const TensorView& tensor : block.file.tensors()) quantized.insert(tensor.name);
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

Output folder_output(const QuantizeJob& job) {
  return {.path = job.out,
          .replace = job.replace,
          .inputs = {job.model, job.calibration.file},
          .not_former = not_quantized};
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Throws Error when Karat itself could not run the model in `folder`.
void check_runs(const fs::path& folder) {
  const LanguageModel model = LanguageModel::open(folder);
  const std::int64_t tokens = Tokenizer::open(folder).vocab_size();
  if (tokens > model.architecture().vocab)
    fail("tokenizer of " + folder.string(), std::to_string(tokens) + " tokens",
         "at most the model's " + std::to_string(model.architecture().vocab));
}

/// The files that make a model, and the report; then the folder appears.
void save(const QuantizeJob& job, const Source& model, const BlockStore& blocks,
          QuantizeReport& report) {
  OutputFolder folder(folder_output(job));
  ShardWriter shards(folder.path(), kShardBytes);
  QuantizationConfig config{.method = report.recipe.name, .layers = {}};
  std::vector<QuantizedBlock> open;  // the shards read their bytes
  for (std::size_t i = 0; i < model.arch.blocks.size(); ++i) open.push_back(blocks.get(i));
  add_dense(shards, model, open);
  for (const QuantizedBlock& block : open) {
    for (const TensorView& tensor : block.file.tensors()) shards.add(tensor);
    config.layers.insert(block.layouts.begin(), block.layouts.end());
    report.layers.insert(report.layers.end(), block.reports.begin(), block.reports.end());
  }
  shards.finish();
  write_file(folder.path() / "config.json", quantized_config(model.folder, config));
  for (const fs::path& file : side_files(model.folder)) {
    fs::create_directories((folder.path() / file).parent_path());
    write_file(folder.path() / file, read_text(model.folder / file));
  }
  report.file_bytes = weight_bytes(folder.path());
  count_bits(report, model);
  report.files = names_in(folder.path());
  report.peak_bytes = peak_memory();
  write_file(folder.path() / "karat_report.json", to_json(report));
  check_runs(folder.path());
  folder.commit();
}

/// What can be known to be wrong before the weights are read.
void check_job(const QuantizeJob& job) {
  check_output(folder_output(job), OutputKind::folder);
  Work::check(job.out);
  if (fs::exists(job.model) && Tokenizer::files(job.model).empty())
    fail("quantize " + job.model.string(), "no tokenizer",
         "tokenizer.json or tokenizer.model beside the weights");
  check_runs(job.model);
}

/// What is finished stays when the user stops the work.
BlockStore unless_interrupted(Work& work, const std::function<BlockStore()>& body) try {
  return body();
} catch (Interrupted& stop) {
  if (!work.worth_keeping()) throw;
  work.keep();
  stop.left = "what is finished lies in " + work.path().string() + "; the same command goes on";
  throw;
}

}  // namespace

QuantizeReport quantize(const QuantizeJob& job) {
  const auto start = std::chrono::steady_clock::now();
  const Assembled recipe = assemble(find_method(job.method), job.overrides);
  check_job(job);
  const Source model = load(job.model);
  check_fits(model.arch, recipe);
  const CalibrationSet text = calibrate(model, recipe.needs(), recipe.recipe, job.calibration);
  Work work(job.out, fingerprint(model, recipe, text, job.progress));
  Passes passes(model, recipe, text, work, job.progress);
  QuantizeReport report{.command = job.command,
                        .model = model.name(),
                        .recipe = recipe.recipe,
                        .overrides = job.overrides};
  if (text.ids.defined()) report.calibration = text;
  const BlockStore blocks = unless_interrupted(work, [&] { return passes.run(); });
  report.loss = passes.loss();
  report.resumed_blocks = static_cast<std::int64_t>(passes.resumed());
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  save(job, model, blocks, report);
  return report;
}

}  // namespace karat
