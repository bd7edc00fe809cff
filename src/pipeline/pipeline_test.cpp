#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "core/file.h"
#include "core/temporary.h"
#include "core/threads.h"
#include "karat/error.h"
#include "model/threads.h"
#include "pipeline/identity.h"
#include "pipeline/passes.h"
#include "pipeline/shards.h"
#include "pipeline/testing.h"
#include "recipe/axis_text.h"

using namespace karat;
namespace fs = std::filesystem;

namespace {

struct Result {
  std::vector<LayerReport> reports;
  std::map<std::string, PackedLayout> layouts;
};

/// The middle of the sentence, on a fixture that has no tokenizer.
Result run(const Source& model, const std::string& family, const Assembled& recipe,
           const fs::path& folder, std::size_t limit = kShardBytes) {
  const CalibrationSet text = recipe.needs().any() ? fixture_text(family) : CalibrationSet{};
  const Work work(folder / "q", identity_of_work(model, recipe, text));
  const BlockStore blocks = run_passes(model, recipe, text, work, {}).blocks;
  ShardWriter shards(folder, limit);
  Result result;
  std::vector<QuantizedBlock> open;
  for (std::size_t i = 0; i < model.arch.blocks.size(); ++i) {
    const QuantizedBlock& block = open.emplace_back(blocks.get(i));
    for (const TensorView& tensor : block.file.tensors()) shards.add(tensor);
    result.layouts.insert(block.layouts.begin(), block.layouts.end());
    result.reports.insert(result.reports.end(), block.reports.begin(), block.reports.end());
  }
  shards.finish();
  return result;
}

std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder))
    files[entry.path().filename()] = read_text(entry.path());
  return files;
}

}  // namespace

TEST_CASE("what is written reads back as what was solved, for every method and family") {
  TemporaryFolder temporary;
  for (const char* family : {"llama3", "gpt2", "qwen3"})
    for (const Recipe& method : all_methods())
      for (const char* scope : {"matrix", "row", "model"}) {
        CAPTURE(family);
        CAPTURE(method.name);
        CAPTURE(scope);
        Overrides overrides{.detach = "none"};
        if (option_of(assemble(method).recipe.grid.text, "group")) overrides.group = "16";
        if (assemble(method).transform.fold) overrides.transform = "scale";  // fold_test.cpp has it
        if (method.detach != "none") overrides.detach = "none";  // detach_test.cpp is about that
        if (method.tuner.text != "none") overrides.iterations = "3";
        const bool chooses = method.selector.text != "none";
        const bool again = !chooses || family != std::string("llama3");
        if (again && scope != std::string("matrix")) continue;  // the same recipe or choice again
        if (chooses) overrides.selector = std::string("top:0.05,scope=") + scope;
        const Source model = load(kFamilies / family);
        Weights original = load_block(model.arch, model.files, 0);
        original.merge(load_block(model.arch, model.files, 1));
        const Result result = run(model, family, assemble(method, overrides), temporary.path);
        const Safetensors file = Safetensors::open_folder(temporary.path);
        const auto find = [&](std::string_view name) { return file.find(name); };
        double kept = 0, weights = 0;
        for (const LayerReport& report : result.reports) {
          CAPTURE(report.name);
          const PackedView view =
              packed_view(report.name, result.layouts.at(report.name), report.out, report.in, find);
          const auto unpacked = torch::tensor(unpack(view)).view({report.out, report.in});
          const torch::Tensor weight = original.at(report.name + ".weight");
          const double error = (unpacked - weight).square().sum(torch::kFloat64).item<double>() /
                               weight.square().sum(torch::kFloat64).item<double>();
          CHECK(report.weight_error == doctest::Approx(error).epsilon(1e-5));
          const auto count = static_cast<double>(report.out * report.in);
          CHECK(report.bits == static_cast<double>(view.stored_bits()) / count);
          CHECK(report.kept_share == static_cast<double>(view.outliers()) / count);
          CHECK(report.weight_error > 0);
          CHECK(report.weight_error < 0.2);
          kept += static_cast<double>(view.outliers());
          weights += count;
          if (std::string(scope) == "matrix" && chooses)
            CHECK(view.outliers() == static_cast<std::int64_t>(0.05 * count));
        }
        if (std::string(scope) == "model" && chooses) CHECK(kept == std::floor(0.05 * weights));
        CHECK(result.reports.size() == result.layouts.size());
      }
}

TEST_CASE("bytes do not depend on the number of threads") {
  TemporaryFolder temporary;
  const Source model = load(kFamilies / "llama3");
  for (const char* method :
       {"gwq", "gwq-obs", "karat", "squeezellm", "awq", "daq", "yaqa", "requant-squeezellm"}) {
    std::vector<std::map<std::string, std::string>> files;
    for (const int threads : {1, 2, 3}) {
      set_torch_threads(threads);
      const ThreadScope scope(threads);
      run(model, "llama3", assemble(find_method(method)), temporary.path);
      files.push_back(files_of(temporary.path));
    }
    CHECK(files[0] == files[1]);
    CHECK(files[0] == files[2]);
  }
}

TEST_CASE("gwq keeps the weights with the largest gradients of the whole graph") {
  FamilyFixture fixture("llama3");
  const auto leaves = fixture.leaves();
  next_token_loss(fixture.arch, leaves, fixture.activations(leaves), fixture.ids()).backward();
  const Source model = load(kFamilies / "llama3");
  const Assembled gwq = assemble(find_method("gwq"), {.ratio = "0.03"});
  Chooser chooser(gwq.selector);
  const auto see = [&](const std::string& layer, const Candidates& found) {
    chooser.see(layer, found);
  };
  measure(model, {scores({gwq.metric, gwq.grid}, see)}, fixture_text("llama3"), {});
  for (const auto& [name, indices] : chooser.choose()) {
    CAPTURE(name);
    const auto gradient = leaves.at(name + ".weight").grad().abs().flatten();
    const auto count = static_cast<std::int64_t>(0.03 * static_cast<double>(gradient.numel()));
    REQUIRE(indices.numel() == count);
    const float least = std::get<0>(gradient.topk(count)).min().item<float>();
    CHECK(gradient.index({indices}).min().item<float>() >= least * 0.999f);
  }
}

TEST_CASE("with mixed widths every layer has its own, and all have their mean at most") {
  TemporaryFolder temporary;
  const Source model = load(kFamilies / "llama3");
  for (const char* method : {"karat", "gptq", "requant-qtip"}) {
    CAPTURE(method);
    const fs::path folder = temporary.path / method;
    fs::create_directories(folder);
    const Assembled recipe = assemble(find_method(method), {.bits = "3.1"});
    const Result result = run(model, "llama3", recipe, folder);
    std::set<int> widths;
    double bits = 0, weights = 0;
    for (const LayerReport& layer : result.reports) {
      const auto count = static_cast<double>(layer.out * layer.in);
      widths.insert(result.layouts.at(layer.name).bits);
      bits += count * result.layouts.at(layer.name).bits;
      weights += count;
    }
    CHECK(widths.size() > 1);
    CHECK(bits / weights <= 3.1);
    CHECK(bits / weights > 2.9);
  }
}

TEST_CASE("a whole folder, and its report") {
  TemporaryFolder temporary;
  const fs::path model = model_folder(temporary.path / "llama3", "llama3");
  QuantizeJob job{.model = model, .out = temporary.path / "out", .method = "rtn"};
  job.overrides = {.bits = "3", .group = "0"};
  const QuantizeReport report = quantize(job);
  const Safetensors original = Safetensors::open_folder(model);
  const Safetensors written = Safetensors::open_folder(job.out);
  for (const char* name : {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"})
    CHECK(std::ranges::equal(original.get(name).span(), written.get(name).span()));
  CHECK(written.find("model.layers.0.mlp.down_proj.weight") == nullptr);
  const auto config = parse_quantization(read_text(job.out / "config.json"));
  REQUIRE(config);
  CHECK(config->method == "rtn");
  CHECK(config->layers.size() == 14);
  CHECK(read_text(job.out / "tokenizer.json") == small_tokenizer());
  const auto json = nlohmann::json::parse(read_text(job.out / "karat_report.json"));
  CHECK(json == nlohmann::json::parse(to_json(report)));
  CHECK(json["recipe"]["grid"] == "uniform:bits=3,group=0,bilevel=0,symmetric=0,fit=minmax");
  CHECK(json["overrides"] == nlohmann::json{{"bits", "3"}, {"group", "0"}});
  CHECK(json["tensors"].size() == 14);
  CHECK(json["file_bytes"] == fs::file_size(job.out / "model.safetensors"));

  CHECK_THROWS_AS(quantize(job), Error);  // exists
  job.replace = true;
  quantize(job);
  job.model = job.out;
  CHECK_THROWS_WITH_AS(quantize(job), doctest::Contains("which is read"), Error);
  job.out = temporary.path / "twice";
  CHECK_THROWS_WITH_AS(quantize(job), doctest::Contains("a quantized model"), Error);
}

TEST_CASE("many tensors become shards with an index that reads as one model") {
  TemporaryFolder temporary;
  const Source model = load(kFamilies / "llama3");
  const fs::path one = temporary.path / "one", many = temporary.path / "many";
  fs::create_directories(one);
  fs::create_directories(many);
  const Assembled rtn = assemble(find_method("rtn"));
  run(model, "llama3", rtn, one);
  run(model, "llama3", rtn, many, 1500);
  CHECK(fs::exists(one / "model.safetensors"));
  CHECK(fs::exists(many / "model.safetensors.index.json"));
  CHECK(!fs::exists(many / "model.safetensors"));
  const Safetensors whole = Safetensors::open_folder(one), parts = Safetensors::open_folder(many);
  REQUIRE(whole.tensors().size() == parts.tensors().size());
  for (const TensorView& tensor : whole.tensors())
    CHECK(std::ranges::equal(tensor.span(), parts.get(tensor.name).span()));
}

TEST_CASE("a bad job leaves nothing behind") {
  TemporaryFolder temporary;
  const fs::path model = model_folder(temporary.path / "llama3", "llama3");
  QuantizeJob job{.model = model, .out = temporary.path / "out", .method = "gwq"};
  const auto refused = [&](const char* says) {
    CHECK_THROWS_WITH_AS(quantize(job), doctest::Contains(says), Error);
    CHECK(std::distance(fs::directory_iterator(temporary.path), fs::directory_iterator()) == 1);
  };
  refused("--calib");
  job.method = "rtn";
  job.calibration.samples = 4;
  refused("--samples");
  job.calibration.samples.reset();
  job.out = "/proc/karat-out";
  refused("/proc/karat-out");
  job.out = temporary.path / "out";

  std::string bytes = read_text(model / "model.safetensors");
  const std::size_t last = bytes.size() - sizeof(float);  // of the last tensor in the file
  const float bad = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + last, &bad, sizeof bad);
  write_file(model / "model.safetensors", bytes);
  refused("NaN");
  for (const char* text : {"{}", "{\"model\":{\"type\":\"Unigram\"}}"}) {
    write_file(model / "tokenizer.json", text);
    refused("tokenizer");
  }
  fs::remove(model / "tokenizer.json");
  refused("tokenizer");
}

TEST_CASE("only what quantize and measure wrote is replaced, and never what they read") {
  TemporaryFolder temporary;
  const fs::path model = model_folder(temporary.path / "models" / "m", "llama3");
  QuantizeJob job{.model = model, .out = temporary.path / "out", .replace = true, .method = "rtn"};
  const auto refused = [&](const fs::path& out, const char* says) {
    job.out = out;
    CHECK_THROWS_WITH_AS(quantize(job), doctest::Contains(says), Error);
  };
  refused(temporary.path / "models", "which is read");
  refused(temporary.path, "which is read");
  refused(model, "which is read");
  const fs::path out = job.out = temporary.path / "out";
  fs::create_directory(model / "additional_chat_templates");
  write_file(model / "additional_chat_templates" / "tools.jinja", "{{ tools }}");
  write_file(model / "LICENSE", "as it is");
  quantize(job);
  quantize(job);  // with what it wrote in the way
  CHECK(read_text(out / "additional_chat_templates" / "tools.jinja") == "{{ tools }}");
  for (const char* name : {"model-backup.safetensors", "additional_chat_templates/mine.jinja"}) {
    write_file(out / name, "mine");
    refused(out, name);
    fs::remove(out / name);
  }
  CHECK(!fs::exists(out.string() + ".work"));
  write_file(out / "notes.txt", "mine");
  refused(out, "notes.txt");
  fs::remove(out / "notes.txt");
  fs::rename(out / "karat_report.json", temporary.path / "report");
  refused(out, "no model quantized by Karat");

  const fs::path work = temporary.path / "other.work";
  fs::create_directories(work);
  write_file(work / "fingerprint", "mine");
  refused(temporary.path / "other", "in the way");
  write_file(work / "fingerprint", "");
  write_file(work / "notes.txt", "mine");
  refused(temporary.path / "other", "notes.txt in the way");
  CHECK(fs::exists(work / "notes.txt"));

  MeasureJob measured{.model = model, .out = temporary.path / "s", .metric = "magnitude"};
  measure(measured);
  measured.replace = true;
  measure(measured);
  measured.out = model / "model.safetensors";
  CHECK_THROWS_WITH_AS(measure(measured), doctest::Contains("no scores"), Error);
}

TEST_CASE("measure writes every score and says how they are spread") {
  TemporaryFolder temporary;
  MeasureJob job{.model = kFamilies / "gpt2",
                 .out = temporary.path / "scores.safetensors",
                 .metric = "magnitude"};
  const MeasureReport report = measure(job);
  const Source model = load(job.model);
  const Safetensors scores = Safetensors::open(job.out);
  CHECK(scores.tensors().size() == report.layers.size());
  const Weights block = load_block(model.arch, model.files, 0);
  for (const Linear* linear : model.arch.blocks[0].linears())
    CHECK(torch::equal(map_tensor(scores.get(linear->name)),
                       block.at(linear->name + ".weight").abs()));
  for (const ScoreSummary& layer : report.layers) {
    const std::vector<float> values = to_floats(scores.get(layer.name));
    double sum = 0, differences = 0;
    for (const float a : values) {
      sum += a;
      for (const float b : values) differences += std::abs(a - b);
    }
    const auto count = static_cast<double>(values.size());
    CHECK(layer.mean == doctest::Approx(sum / count));
    CHECK(layer.gini == doctest::Approx(differences / (2 * count * sum)));  // its definition
    CHECK(layer.top_share > 0.01);
  }
  CHECK_THROWS_AS(measure(job), Error);  // exists
}
