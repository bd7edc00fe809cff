// Mixtures of experts: quantized expert by expert, run from the packed folder.
#include <doctest/doctest.h>

#include <set>

#include "core/rng.h"
#include "core/temporary.h"
#include "core/threads.h"
#include "karat/engine.h"
#include "karat/quantize.h"
#include "pipeline/testing.h"

using namespace karat;
namespace fs = std::filesystem;

namespace {

/// Quantizes the fixture, with `samples` sequences of 32 letters.
struct QuantizedMixture {
  QuantizedMixture(const std::string& family, const std::string& method, std::int64_t samples)
      : model(model_folder(folder.path / "model", family)), out(folder.path / "out") {
    Rng rng(1);
    std::string text;
    for (int i = 0; i < 2000; ++i) text += static_cast<char>('a' + rng.below(26));
    write_file(folder.path / "text.txt", text);
    QuantizeJob job{.model = model, .out = out, .method = method};
    job.calibration.file = folder.path / "text.txt";
    job.calibration.samples = samples;
    job.calibration.length = 32;
    report = quantize(job);
  }
  static std::vector<float> logits(const fs::path& folder) {
    Engine engine(LanguageModel::open(folder), {.room = 64});
    const std::vector<TokenId> ids = {3, 1, 4, 15, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9};
    std::vector<float> logits(ids.size() * 61);
    engine.logits(engine.step({engine.begin(64), ids}), logits);
    return logits;
  }

  TemporaryFolder folder;
  fs::path model, out;
  QuantizeReport report;
};

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  return relative_error(torch::tensor(a), torch::tensor(b));
}

/// Names of layers that few tokens visited.
std::set<std::string> few(const QuantizeReport& report) {
  std::set<std::string> names;
  for (const LayerReport& layer : report.layers)
    if (layer.few_tokens) names.insert(layer.name);
  return names;
}

}  // namespace

TEST_CASE("every expert is packed and runs, the router stays as it is") {
  for (const char* family : {"qwen2_moe", "granitemoe"})
    for (const char* method : {"gptq", "karat", "gwq", "awq"}) {
      if (family == std::string("granitemoe") && method != std::string("gptq")) continue;
      CAPTURE(family);
      CAPTURE(method);
      const QuantizedMixture done(family, method, 16);
      FamilyFixture fixture(family);
      std::size_t layers = 0;
      for (const Block& block : fixture.arch.blocks) layers += block.linears().size();
      CHECK(done.report.layers.size() == layers);
      const Safetensors written = Safetensors::open_folder(done.out);
      for (const TensorView& tensor : written.tensors())
        CHECK(tensor.name.find("_linear.weight") == tensor.name.npos);  // of all experts
      for (const Block& block : fixture.arch.blocks) {
        if (!block.mlp.router) continue;
        const std::string router = block.mlp.router->name + ".weight";
        CHECK(std::ranges::equal(written.get(router).span(), fixture.weights.get(router).span()));
        CHECK(written.find(block.mlp.experts[2].down.name + ".weight") == nullptr);
      }
      const double changed =
          distance(QuantizedMixture::logits(done.out), QuantizedMixture::logits(done.model));
      CHECK(changed > 0);
      CHECK(changed < 0.6);
    }
}

TEST_CASE("experts that few tokens visited are named") {
  const QuantizedMixture done("qwen2_moe", "gptq", 1);  // 32 tokens, 3 of 5 experts each
  const std::set<std::string> names = few(done.report);
  CHECK_FALSE(names.empty());
  for (const std::string& name : names) CHECK(name.find(".experts.") != name.npos);
  REQUIRE(done.report.warnings.size() == 1);
  CHECK(done.report.warnings[0].find(*names.begin()) != std::string::npos);
  CHECK(to_json(done.report).find("\"few_tokens\": ") != std::string::npos);
  CHECK(few(QuantizedMixture("qwen2_moe", "gptq", 16).report).empty());
}

TEST_CASE("the bytes of a mixture do not depend on the number of threads") {
  std::vector<std::string> bytes;
  for (const int threads : {1, 3}) {
    const ThreadScope scope(threads);
    bytes.push_back(read_text(QuantizedMixture("olmoe", "karat", 4).out / "model.safetensors"));
  }
  CHECK(bytes[0] == bytes[1]);
}
