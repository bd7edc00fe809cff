#include "pipeline/look_back.h"

#include <algorithm>

#include "core/checked.h"
#include "core/file.h"
#include "karat/error.h"
#include "pipeline/passes.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

/// What quantizing leaves alone must be the model's.
void check_same_model(const Source& model, const Safetensors& quantized, const fs::path& folder) {
  for (const TensorView& tensor : quantized.tensors()) {
    const TensorView* original = model.files.find(tensor.name);
    if (original && !std::ranges::equal(tensor.span(), original->span()))
      fail("look back on " + folder.string(), "another " + tensor.name,
           "that of " + model.folder.string(), "it was made from another model, or with fold=1");
  }
}

QuantizedLayer copy_layer(const Linear& linear, const PackedLayout& layout,
                          const Safetensors& file) {
  packed_view(linear.name, layout, linear.out, linear.in,
              [&](std::string_view name) { return file.find(name); });  // checks every part
  QuantizedLayer layer{.report = {.name = linear.name, .out = linear.out, .in = linear.in},
                       .layout = layout};
  const std::string prefix = linear.name + ".";
  for (const TensorView& tensor : file.tensors())
    if (tensor.name.starts_with(prefix) && tensor.name != prefix + "bias")
      layer.tensors.push_back(own_bytes(tensor.name, tensor.dtype, tensor.shape, tensor.span()));
  return layer;
}

BlockStore blocks_of_folder(const Source& model, const fs::path& folder, const fs::path& into) {
  const auto config = parse_quantization(read_text(folder / "config.json"));
  if (!config)
    fail("look back on " + folder.string(), "a model that is not quantized", "a Karat folder");
  const Safetensors file = Safetensors::open_folder(folder);
  checked(model.files, [&] { checked(file, [&] { check_same_model(model, file, folder); }); });
  fs::remove_all(into);  // of another folder, perhaps
  BlockStore blocks(into);
  for (std::size_t i = 0; i < model.arch.blocks.size(); ++i) {
    std::vector<QuantizedLayer> layers;
    checked(file, [&] {
      for (const Linear* linear : model.arch.blocks[i].linears())
        if (const auto layout = config->layers.find(linear->name); layout != config->layers.end())
          layers.push_back(copy_layer(*linear, layout->second, file));
    });
    if (layers.empty())
      fail("look back on " + folder.string(), "no quantized layer in block " + std::to_string(i),
           "the layers of " + model.folder.string(), "it was made from another model");
    blocks.put(i, layers);
  }
  return blocks;
}

}  // namespace

Assembled metric_alone(const std::string& metric, const std::string& grid) {
  return assemble({.metric = {metric}, .selector = {"top"}, .grid = {grid}});
}

Assembled rounding(const Assembled& recipe) {
  return assemble({.grid = {recipe.recipe.grid.text}});
}

BlockStore quantization_of(const Source& model, const Assembled& recipe, const CalibrationSet& text,
                           const fs::path& folder, const Work& work, const ProgressFn& progress) {
  if (!folder.empty()) return blocks_of_folder(model, folder, work.path() / "looked-back-on");
  return run_passes(model, rounding(recipe), text, work, progress).blocks;
}

std::string name_of_quantization(const Assembled& recipe, const fs::path& folder) {
  if (folder.empty()) return "rounded to " + recipe.recipe.grid.text;
  return fs::weakly_canonical(folder).filename().string();
}

}  // namespace karat
