// A model as training through a quantizer left it, in Karat's format.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/file.h"
#include "core/output.h"
#include "format/parts.h"
#include "karat/error.h"
#include "karat/language_model.h"
#include "karat/tokenizer.h"
#include "load/model_files.h"
#include "model/parallel.h"
#include "train/export.h"

namespace karat {
namespace fs = std::filesystem;
namespace {

constexpr const char* kWeights = "model.safetensors";
constexpr const char* kLog = "training_log.json";

/// What keeps `folder` from being one that pack wrote.
std::string not_packed(const fs::path& folder) try {
  if (!parse_quantization(config_text(folder)) || trained_quantizer(folder).empty())
    return "no trained model packed by Karat";
  std::set<std::string> names = {"config.json", kWeights, kLog, kQuantizerRecord};
  for (const auto& [file, text] : side_texts(folder)) names.insert(file.string());
  const std::string stranger =
      stranger_in(folder, [&](const std::string& name) { return names.contains(name); });
  return stranger.empty() ? "" : "it holds " + stranger + ", which pack did not write";
} catch (const std::exception&) {  // a file is missing or unreadable
  return "no trained model packed by Karat";
}

struct Trained {
  Architecture arch;
  Safetensors files;
  nlohmann::json record;
  NamedQuantizer quantizer;
};

Trained open_trained(const fs::path& folder) {
  const std::string where = "pack " + folder.string();
  Trained trained{read_architecture(folder), {}, {}, {}};
  if (parse_quantization(config_text(folder)))
    fail(where, "a packed model", "one that karat train --quantize wrote");
  const std::string text = trained_quantizer(folder);
  if (text.empty())
    fail(where, std::string("no quantizer in a ") + kQuantizerRecord,
         "a model that karat train --quantize wrote", "karat quantize makes other models smaller");
  trained.record = nlohmann::json::parse(read_text(folder / kQuantizerRecord));
  trained.quantizer = make_training_quantizer(text);
  if (!trained.quantizer.value.stored)
    fail(where, "a model trained through " + text, "a quantizer that the packed format has",
         "quest, quarot and ste are stored");
  trained.files = Safetensors::open_folder(folder);
  match_weights(trained.arch, trained.files);
  return trained;
}

/// The layers that the record names, which must be those of the blocks.
void check_layers(const Trained& trained, const fs::path& folder) {
  std::set<std::string> found;
  for (const Block& block : trained.arch.blocks)
    for (const Linear* layer : block.linears()) found.insert(layer->name);
  std::set<std::string> named;
  const nlohmann::json layers = trained.record.value("layers", nlohmann::json::array());
  for (const auto& layer : layers)
    if (layer.is_string()) named.insert(layer.get<std::string>());
  if (named != found)
    fail(fmt::format("pack {}: {}", folder.string(), kQuantizerRecord),
         fmt::format("{} layers", named.size()),
         fmt::format("the {} linear layers of the model's blocks", found.size()));
}

/// The steps by which a layer's weight lies on its lattice; undefined where it does not.
class KnownSteps {
 public:
  KnownSteps(const Trained& trained, const fs::path& folder) {
    if (trained.record.value(kOnLattice, nlohmann::json()) == true)
      file_.emplace(Safetensors::open(folder / kQuantizerLearned));
  }
  torch::Tensor of(const Linear& layer) const {
    if (!file_) return {};
    const TensorView& view = file_->get(layer.name + ".weight_step");
    if (view.dtype != DType::f32 || view.shape != std::vector<std::int64_t>{layer.out, 1})
      fail(fmt::format("pack: {} of {}", view.name, kQuantizerLearned), shape_text(view.shape),
           fmt::format("F32 [{}, 1]", layer.out));
    return map_tensor(view).clone();
  }

 private:
  std::optional<Safetensors> file_;
};

struct Packed {
  std::vector<OwnedTensor> tensors;
  QuantizationConfig config;
  double weights = 0, bits = 0;
};

Packed pack_layers(const Trained& trained, const KnownSteps& steps) {
  Packed packed;
  packed.config.method = trained.quantizer.text.substr(0, trained.quantizer.text.find(':'));
  const SerialTorch single;
  for (std::size_t i = 0; i < trained.arch.blocks.size(); ++i) {
    const Weights block = load_block(trained.arch, trained.files, i);
    for (const Linear* layer : trained.arch.blocks[i].linears()) {
      const PackedMatrix matrix = trained.quantizer.value.stored(
          *layer, block.at(layer->name + ".weight"), steps.of(*layer));
      for (OwnedTensor& tensor : pack(layer->name, matrix)) {
        packed.bits += 8 * static_cast<double>(tensor.data.size());
        packed.tensors.push_back(std::move(tensor));
      }
      packed.weights += static_cast<double>(layer->in) * static_cast<double>(layer->out);
      packed.config.layers[layer->name] = matrix.layout;
    }
  }
  return packed;
}

/// The packed layers and, as they are, all tensors but those layers' weights.
std::vector<TensorView> all_tensors(const Trained& trained, const Packed& packed) {
  std::vector<TensorView> views;
  const auto is_weight = [&](const std::string& name) {
    const std::string suffix = ".weight";
    return name.ends_with(suffix) &&
           packed.config.layers.contains(name.substr(0, name.size() - suffix.size()));
  };
  for (const TensorView& view : trained.files.tensors())
    if (!is_weight(view.name)) views.push_back(view);
  for (const OwnedTensor& tensor : packed.tensors) views.push_back(tensor.view());
  return views;
}

void write_packed(const fs::path& from, const fs::path& to, const Trained& trained,
                  const Packed& packed) {
  auto config = nlohmann::ordered_json::parse(config_text(from));
  config["quantization_config"] = nlohmann::ordered_json::parse(quantization_json(packed.config));
  write_file(to / "config.json", config.dump(2) + "\n");
  write_safetensors(to / kWeights, all_tensors(trained, packed), {{"format", "pt"}});
  for (const auto& [file, text] : side_texts(from)) {
    fs::create_directories((to / file).parent_path());
    write_file(to / file, text);
  }
  for (const char* file : {kQuantizerRecord, kLog})
    if (fs::exists(from / file)) write_file(to / file, read_text(from / file));
}

}  // namespace

PackReport pack_trained(const PackJob& job) {
  const Output output{
      .path = job.out, .replace = job.replace, .inputs = {job.model}, .not_former = not_packed};
  check_output(output, OutputKind::folder);
  const Trained trained = open_trained(job.model);
  check_layers(trained, job.model);
  const Packed packed = pack_layers(trained, KnownSteps(trained, job.model));
  trained.files.check();
  OutputFolder folder(output);
  write_packed(job.model, folder.path(), trained, packed);
  LanguageModel::open(folder.path());
  Tokenizer::open(folder.path());
  PackReport report{
      .quantizer = trained.quantizer.text,
      .stored = describe(packed.config.layers.begin()->second),
      .layers = std::ssize(packed.config.layers),
      .layer_bits = packed.bits / packed.weights,
      .file_bytes = static_cast<std::int64_t>(fs::file_size(folder.path() / kWeights)),
      .warnings = trained.arch.warnings};
  if (!trained.record.value("exact", true))
    report.warnings.push_back(
        "the weights were rounded when they were saved, so they quantize to not quite the values "
        "that were trained; train with --dtype f32");
  folder.commit();
  return report;
}

}  // namespace karat
