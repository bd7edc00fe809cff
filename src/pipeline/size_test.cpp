// Files of a size: what is foretold is what is written, and budgets are met.
#include <doctest/doctest.h>

#include "core/temporary.h"
#include "karat/error.h"
#include "pipeline/file_size.h"
#include "pipeline/passes.h"
#include "pipeline/shards.h"
#include "pipeline/testing.h"

using namespace karat;
namespace fs = std::filesystem;

namespace {

QuantizeJob sized_job(const TemporaryFolder& temporary, const std::string& family,
                      const std::string& method, const Overrides& overrides) {
  QuantizeJob job{.model = model_folder(temporary.path / family, family),
                  .out = temporary.path / "out",
                  .replace = true,
                  .method = method,
                  .overrides = overrides};
  const Needs needs = assemble(find_method(method), overrides).needs();
  if (!needs.any()) return job;
  job.calibration = {
      .file = temporary.path / "text", .samples = 2, .length = 16, .seed = {}};
  write_file(job.calibration.file, std::string(2000, 'a') + std::string(2000, 'b'));
  return job;
}

std::string bytes_text(std::int64_t bytes) {
  return std::to_string(static_cast<double>(bytes) / 1e6) + "MB";
}

}  // namespace

TEST_CASE("the size of the files is known beforehand, to the byte") {
  struct Case {
    const char *family, *method;
    Overrides overrides;
  };
  const std::vector<Case> cases = {
      {"llama3", "karat", {.bits = "3"}},
      {"llama-tied", "karat", {.ends = "none"}},
      {"gpt2", "rtn", {.group = "16", .ends = "4"}},
      {"gemma", "gwq", {.grid = "uniform:group=16,widths=mixed", .ratio = "0.03", .size = "1GB"}},
      {"qwen3", "squeezellm", {}}};
  for (const auto& [family, method, overrides] : cases) {
    CAPTURE(family);
    const TemporaryFolder temporary;
    const QuantizeJob job = sized_job(temporary, family, method, overrides);
    const QuantizePlan plan = plan_quantization(job);
    CHECK_FALSE(fs::exists(job.out));
    CHECK(fs::exists(job.out.string() + ".work") == job.calibration.samples.has_value());
    const QuantizeReport report = quantize(job);
    CHECK(plan.file_bytes == report.file_bytes);
    CHECK(plan.file_bits() == doctest::Approx(report.file_bits));
    CHECK(plan.layer_bits() == doctest::Approx(report.layer_bits));
    REQUIRE(plan.layers.size() == report.layers.size());
    for (std::size_t i = 0; i < plan.layers.size(); ++i) {
      CHECK(plan.layers[i].name == report.layers[i].name);
      CHECK(plan.layers[i].stored == report.layers[i].stored);
      CHECK(plan.layers[i].loss == report.layers[i].expected_loss);
    }
  }
}

TEST_CASE("a budget is met and never exceeded, over layers and ends") {
  for (const char* family : {"llama3", "llama-tied"}) {
    const TemporaryFolder temporary;
    const Overrides widest{.size = "1GB"};
    QuantizeJob job = sized_job(temporary, family, "karat", widest);
    const QuantizePlan all = plan_quantization(job);
    REQUIRE(all.warnings.size() == 1);
    CHECK(all.warnings[0].find("the widest codes") != std::string::npos);
    job.overrides.size = "0.001MB";
    std::int64_t least = 0;
    try {
      plan_quantization(job);
    } catch (const Error& error) {
      const std::string text = error.what();
      const std::size_t at = text.find("expected --size ");
      REQUIRE(at != text.npos);
      job.overrides.size = text.substr(at + 16, text.find(" or more") - at - 16);
      least = plan_quantization(job).file_bytes;
    }
    CHECK(least > 0);
    double before = 1e9;
    for (const double share : {0.1, 0.3, 0.5, 0.8}) {
      CAPTURE(share);
      const auto budget =
          least + static_cast<std::int64_t>(share * static_cast<double>(all.file_bytes - least));
      job.overrides.size = bytes_text(budget);
      const QuantizePlan plan = plan_quantization(job);
      CHECK(plan.file_bytes <= budget);
      CHECK((plan.file_bytes >= 0.99 * static_cast<double>(budget) || plan.warnings.size() == 1));
      CHECK(plan.loss.value() < before);
      before = plan.loss.value();
    }
    const std::int64_t foretold = plan_quantization(job).file_bytes;
    CHECK(quantize(job).file_bytes == foretold);
  }
}

TEST_CASE("what is measured serves every size until something is quantized") {
  const TemporaryFolder temporary;
  QuantizeJob job = sized_job(temporary, "llama3", "karat", {.file_bits = "6"});
  job.replace = false;
  plan_quantization(job);
  job.overrides.file_bits = "7";
  std::int64_t passes = 0;
  job.progress = [&](const ProgressEvent& event) {
    passes += event.stage == "gradient" ? 1 : 0;
    return event.stage != "statistics";  // quantizing is stopped at its first block
  };
  plan_quantization(job);
  CHECK(passes == 0);
  CHECK_THROWS_AS(quantize(job), Interrupted);
  CHECK(passes == 0);
  job.overrides.file_bits = "6";
  job.progress = {};
  CHECK_THROWS_WITH_AS(quantize(job), doctest::Contains("another size"), Error);
  job.overrides.file_bits = "7";
  quantize(job);
  CHECK_FALSE(fs::exists(job.out.string() + ".work"));
}

TEST_CASE("bytes of shards are those of the files that a writer makes") {
  const TemporaryFolder temporary;
  std::vector<OwnedTensor> tensors;
  for (const std::size_t size : {100, 30, 7, 200, 1, 90}) {
    const std::vector<std::byte> bytes(size);
    tensors.push_back(own_bytes("tensor" + std::to_string(size), DType::u8,
                                {static_cast<std::int64_t>(size)}, bytes));
  }
  for (const std::size_t limit : {50, 130, 1000}) {
    const fs::path folder = temporary.path / std::to_string(limit);
    fs::create_directories(folder);
    ShardWriter writer(folder, limit);
    std::vector<TensorView> views;
    for (const OwnedTensor& tensor : tensors) {
      writer.add(tensor.view());
      views.push_back({tensor.name, tensor.dtype, tensor.shape});  // no data
    }
    writer.finish();
    std::int64_t written = 0;
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".safetensors")
        written += static_cast<std::int64_t>(entry.file_size());
    CHECK(shard_bytes(views, limit) == written);
  }
}
