// Rounded embeddings and heads: what is written, what the blocks see, resuming, bad input.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/temporary.h"
#include "core/threads.h"
#include "karat/error.h"
#include "karat/language_model.h"
#include "load/ends.h"
#include "model/threads.h"
#include "pipeline/identity.h"
#include "pipeline/passes.h"
#include "pipeline/testing.h"

using namespace karat;
namespace fs = std::filesystem;

namespace {

CalibrationSet ends_text(const std::string& family) {
  CalibrationSet set;
  set.ids = FamilyFixture(family).ids().to(torch::kInt64).clone();
  return set;
}

std::map<std::string, std::string> store_bytes(const BlockStore& store) {
  std::map<std::string, std::string> found;
  for (std::size_t i = 0; i < store.finished(); ++i) {
    const QuantizedBlock block = store.get(i);
    for (const TensorView& tensor : block.file.tensors())
      found[tensor.name] = {reinterpret_cast<const char*>(tensor.data), tensor.bytes()};
  }
  return found;
}

struct EndPasses {
  std::map<std::string, std::string> ends, blocks;
};
EndPasses run_ends(const std::string& family, const std::string& method,
                   const Overrides& overrides) {
  const TemporaryFolder temporary;
  const Source model = load(kFamilies / family);
  const Assembled recipe = assemble(find_method(method), overrides);
  const CalibrationSet text = recipe.needs().any() ? ends_text(family) : CalibrationSet{};
  const Work work(temporary.path / "q", identity_of_work(model, recipe, text));
  const Passed passed = run_passes(model, recipe, text, work, {});
  return {store_bytes(passed.ends), store_bytes(passed.blocks)};
}

}  // namespace

TEST_CASE("ends are written as layers are, tied ones once, and the report tells of them") {
  const TemporaryFolder temporary;
  for (const char* family : {"llama-tied", "llama3", "gpt2", "gemma"})
    for (const char* ends : {"8", "6", "lut:bits=4", "nf4:group=16"}) {
      CAPTURE(family);
      CAPTURE(ends);
      const fs::path folder = model_folder(temporary.path / family, family);
      QuantizeJob job{.model = folder, .out = temporary.path / "out", .replace = true};
      job.method = "rtn";
      job.overrides = {.group = "16", .ends = ends};
      const QuantizeReport report = quantize(job);
      const Source model = load(folder);
      const std::vector<std::string> names = ends_of(model.arch);
      REQUIRE(report.ends.size() == names.size());
      const LanguageModel written = LanguageModel::open(job.out);
      const auto& layers = written.quantization()->layers;
      for (std::size_t i = 0; i < names.size(); ++i) {
        const LayerReport& end = report.ends[i];
        CHECK(end.name == layer_of(names[i]));
        CHECK(written.files().find(names[i]) == nullptr);
        const PackedView view =
            packed_view(end.name, layers.at(end.name), end.out, end.in,
                        [&](std::string_view name) { return written.files().find(name); });
        CHECK(end.bits ==
              static_cast<double>(view.stored_bits()) / static_cast<double>(end.out * end.in));
        const torch::Tensor weight = map_tensor(model.files.get(names[i])).to(torch::kFloat32);
        const torch::Tensor error = torch::tensor(unpack(view)).view(weight.sizes()) - weight;
        CHECK(end.weight_error ==
              doctest::Approx((error.square().sum() / weight.square().sum()).item<double>()));
        CHECK(end.weight_error < 0.02);
      }
      const auto json = nlohmann::json::parse(to_json(report));
      CHECK(json["tensors"].size() == report.layers.size() + names.size());
      CHECK(json["tensors"].back()["name"] == report.ends.back().name);
      CHECK(json["tensors"].back()["rule"] == report.recipe.ends);
      CHECK(json["overrides"]["ends"] == ends);
    }
}

TEST_CASE("blocks see the rounded embedding, unless they see original inputs") {
  for (const char* family : {"llama-tied", "llama3"}) {
    const Overrides rounded{.group = "16", .ends = "uniform:bits=3,group=16"}, kept{.group = "16"};
    CHECK(run_ends(family, "gptq", rounded).blocks != run_ends(family, "gptq", kept).blocks);
    CHECK(run_ends(family, "rtn", rounded).blocks == run_ends(family, "rtn", kept).blocks);
    CHECK(run_ends(family, "rtn", kept).ends.empty());
    Overrides rounded_original = rounded, kept_original = kept;
    rounded_original.inputs = kept_original.inputs = "original";
    CHECK(run_ends(family, "gptq", rounded_original).blocks ==
          run_ends(family, "gptq", kept_original).blocks);
  }
}

TEST_CASE("the embedding that blocks see is the one that is stored") {
  const TemporaryFolder temporary;
  const Source model = load(kFamilies / "llama3");
  BlockStore store(temporary.path / "ends");
  quantize_ends(model, *assemble(find_method("rtn"), {.ends = "4"}).ends, {}, store, {});
  const CalibrationSet text = ends_text("llama3");
  Weights seen;
  decode_embedding(model, store, text.ids, seen);
  const QuantizedBlock block = store.get(0);
  const auto whole = torch::tensor(unpack(block.view(block.reports.front())))
                         .view({model.arch.vocab, model.arch.hidden});
  const torch::Tensor ids = text.ids.flatten();
  CHECK(seen.at(model.arch.embedding).index_select(0, ids).equal(whole.index_select(0, ids)));
}

TEST_CASE("ends: bytes do not depend on the number of threads, and interrupted work goes on") {
  const Overrides overrides{.ends = "uniform:bits=5,group=16,fit=mse"};
  std::vector<EndPasses> results;
  for (const int threads : {1, 3}) {
    set_torch_threads(threads);
    const ThreadScope scope(threads);
    results.push_back(run_ends("llama3", "karat", overrides));
  }
  CHECK(results[0].ends == results[1].ends);
  CHECK(results[0].blocks == results[1].blocks);

  const TemporaryFolder temporary;
  const Source model = load(kFamilies / "llama3");
  const Assembled recipe = assemble(find_method("karat"), overrides);
  const CalibrationSet text = ends_text("llama3");
  const WorkIdentity mark = identity_of_work(model, recipe, text);
  std::optional<Passed> resumed;
  for (std::int64_t steps = 1; !resumed; ++steps) {  // one step further each time
    REQUIRE(steps < 100);
    Work work(temporary.path / "q", mark);
    std::int64_t left = steps;
    const ProgressFn progress = [&](const ProgressEvent&) { return --left > 0; };
    try {
      resumed = run_passes(model, recipe, text, work, progress);
    } catch (const Interrupted&) {
    }
    work.keep();
  }
  CHECK(store_bytes(resumed->ends) == results[0].ends);
  CHECK(store_bytes(resumed->blocks) == results[0].blocks);
}

TEST_CASE("a number stands for uniform codes; grids that an embedding cannot have are refused") {
  CHECK(assemble(find_method("rtn"), {.ends = "8"})
            .recipe.ends.starts_with("uniform:bits=8,group=128,"));
  CHECK_FALSE(assemble(find_method("rtn"), {.ends = "none"}).ends.has_value());
  const auto refused = [](const char* ends, const char* says) {
    CHECK_THROWS_WITH_AS(assemble(find_method("rtn"), {.ends = ends}), doctest::Contains(says),
                         Error);
  };
  refused("7", "bits=7");
  refused("16", "bits");
  refused("4.5", "ends");
  refused("uniform:bits=4.5", "bits");
  refused("lut:cost=fisher", "a grid that needs no statistics");
  refused("uniform:fit=mse,cost=activation", "a grid that needs no statistics");
  refused("float", "ends");
}
