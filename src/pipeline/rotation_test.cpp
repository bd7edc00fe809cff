// Whole folders whose layers are quantized under a rotation.
#include <doctest/doctest.h>

#include "core/temporary.h"
#include "karat/error.h"
#include "karat/language_model.h"
#include "karat/quantize.h"
#include "pipeline/passes.h"
#include "pipeline/testing.h"

using namespace karat;
namespace fs = std::filesystem;

namespace {

torch::Tensor weights(const LanguageModel& model, const Linear& linear) {
  const auto find = [&](std::string_view name) { return model.files().find(name); };
  const PackedView view = packed_view(linear.name, model.quantization()->layers.at(linear.name),
                                      linear.out, linear.in, find);
  CHECK(view.outliers() == linear.out * linear.in / 20);
  return torch::tensor(unpack(view)).view({linear.out, linear.in});
}

}  // namespace

TEST_CASE("every grid under a rotation, with kept weights: as near as its grid, the kept nearer") {
  TemporaryFolder temporary;
  for (const char* family : {"llama3", "gpt2"})
    for (const auto& [grid, most] : {std::pair{"uniform:bits=4,group=16", 0.02},
                                     {"uniform:bits=3,group=16,bilevel=1", 0.1},
                                     {"nf4:group=16", 0.02},
                                     {"lut:bits=3", 0.05},
                                     {"trellis:bits=2", 0.12},
                                     {"trellis:bits=4,code=3inst", 0.015}}) {
      CAPTURE(family);
      CAPTURE(grid);
      const fs::path folder = model_folder(temporary.path / "model", family);
      QuantizeJob job{.model = folder, .out = temporary.path / "out", .method = "rtn"};
      job.overrides.transform = "hadamard:seed=5";
      job.overrides.grid = grid;
      job.overrides.metric = "magnitude";
      job.overrides.selector = "top:0.05";
      job.replace = true;
      quantize(job);
      const LanguageModel model = LanguageModel::open(job.out);
      const Architecture arch = read_architecture(folder);
      const Safetensors files = Safetensors::open_folder(folder);
      const Weights original = load_block(arch, files, 0);
      for (const Linear* linear : arch.blocks[0].linears()) {
        CHECK(model.quantization()->layers.at(linear->name).rotation == 5u);
        const torch::Tensor w = original.at(linear->name + ".weight").to(torch::kFloat32);
        const torch::Tensor error = weights(model, *linear) - w;
        CHECK((error.square().sum() / w.square().sum()).item<double>() < most);
        const torch::Tensor large = std::get<0>(w.abs().flatten().topk(w.numel() / 20));
        const torch::Tensor kept = w.abs() >= large.min();
        CHECK(error.masked_select(kept).abs().max().item<double>() <
              1e-3 * w.abs().max().item<double>());
      }
    }
}
