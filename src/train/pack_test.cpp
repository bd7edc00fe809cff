// What pack writes runs as training computed.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/temporary.h"
#include "karat/engine.h"
#include "karat/error.h"
#include "karat/train.h"
#include "load/training_record.h"
#include "model/parallel.h"
#include "train/testing.h"
#include "tuner/shared/training_quantizer.h"

namespace karat {
namespace {
namespace fs = std::filesystem;

/// A model of 20 steps, and the same packed. Wide: of 128 hidden values.
struct PackScene {
  TemporaryFolder folder;
  PackJob job;
  std::string text;

  explicit PackScene(std::string quantizer, bool wide = false, DType dtype = DType::f32,
                     const std::string& optimizer = "")
      : text(std::move(quantizer)) {
    auto config = nlohmann::json::parse(kTinyLlama);
    config["initializer_range"] = wide ? 0.1 : 0.3;  // so that blocks matter beside the embedding
    if (wide) config.update({{"hidden_size", 128}, {"intermediate_size", 384}, {"head_dim", 32}});
    write_file(folder.path / "config.json", config.dump());
    write_file(folder.path / "text.txt", tiny_text(1, 30));
    TrainOptions options;
    options.config = folder.path / "config.json";
    options.tokenizer = KARAT_SOURCE_DIR "/models/karat-tiny";
    options.data = {folder.path / "text.txt"};
    options.out = folder.path / "trained";
    options.steps = 20;
    options.batch = 5;
    options.optimizer.lr = wide ? 0.004 : 0.02;
    options.optimizer.warmup = 2;
    options.dtype = dtype;
    options.quantize = text;
    options.optimizer_name = optimizer;
    train(options);
    job = {.model = options.out, .out = folder.path / "packed"};
  }
  std::string failure() const {
    try {
      pack_trained(job);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
};

std::vector<TokenId> some_ids() {
  std::vector<TokenId> ids;
  for (TokenId i = 0; i < 30; ++i) ids.push_back((i * 37 + 5) % 4096);
  return ids;
}

/// Logits [tokens · vocab] of the model before packing, through `multiply`.
torch::Tensor graph_logits(const fs::path& folder, const LinearProduct& multiply) {
  const torch::NoGradGuard no_grad;
  const SerialTorch single;
  Architecture arch = read_architecture(folder);
  Safetensors files = Safetensors::open_folder(folder);
  match_weights(arch, files);
  const std::vector<TokenId> ids = some_ids();
  const Weights ends = load_ends(arch, files);
  auto x = embed(arch, ends,
                 torch::tensor(std::vector<std::int64_t>(ids.begin(), ids.end())).unsqueeze(0));
  for (std::size_t i = 0; i < arch.blocks.size(); ++i)
    x = block_forward(arch, i, load_block(arch, files, i), x, {}, multiply);
  return logits(arch, ends, x).flatten();
}

torch::Tensor engine_logits(const fs::path& folder, const Runtime& runtime, bool independent) {
  const LanguageModel model = LanguageModel::open(folder);
  Engine engine(model, {.independent = independent, .runtime = runtime});
  const std::vector<TokenId> ids = some_ids();
  const std::vector<float> states = engine.step(Request{engine.begin(), ids});
  auto result = torch::empty({std::ssize(ids) * model.architecture().vocab});
  engine.logits(states, {result.data_ptr<float>(), static_cast<std::size_t>(result.numel())});
  return result;
}

double distance(const torch::Tensor& got, const torch::Tensor& expected) {
  return ((got - expected).norm() / expected.norm()).item<double>();
}

TEST_CASE("a packed model's logits are those that training computes, in every set and engine") {
  for (const auto& [quantizer, wide] : {std::pair{"quest:weights=4,activations=4", true},
                                        {"quest:weights=3,activations=4", true},
                                        {"quest:weights=4,activations=4,hadamard=8", false},
                                        {"quest:weights=2,activations=2,hadamard=8", false},
                                        {"quest:weights=8,activations=8,hadamard=0", false},
                                        {"quest:weights=4,activations=16,hadamard=8", false},
                                        {"quarot:weights=4,activations=4,hadamard=4", false},
                                        {"ste:weights=5,activations=6", false}}) {
    CAPTURE(quantizer);
    const PackScene scene(quantizer, wide);
    const PackReport report = pack_trained(scene.job);
    CHECK(report.warnings.empty());
    CHECK(report.layers == 14);
    CHECK(report.quantizer.starts_with(quantizer));
    const auto trained = make_training_quantizer(quantizer);
    const auto expected = graph_logits(scene.job.model, quantized_product(trained.value));
    const double effect = distance(graph_logits(scene.job.model, {}), expected);
    CHECK(effect > 1e-2);
    const bool all = report.quantizer.find("activations=16") == std::string::npos;
    for (const std::string_view set : instruction_sets())
      for (const Activations activations : {Activations::f32, Activations::q8})
        for (const bool independent : {false, true}) {
          if (activations == Activations::q8 && !all) continue;  // rounds what training did not
          const Runtime runtime({.instruction_set = std::string(set), .activations = activations});
          const double error =
              distance(engine_logits(scene.job.out, runtime, independent), expected);
          CHECK_MESSAGE(error < 1e-3, set, ", ", name_of(activations), ": ", error);
        }
  }
}

/// A copy of a packed folder whose row scales are rounded to FP16.
void round_scales(const fs::path& from, const fs::path& to) {
  fs::copy(from, to);
  const Safetensors files = Safetensors::open_folder(from);
  std::vector<OwnedTensor> tensors;
  for (const TensorView& view : files.tensors()) {
    OwnedTensor tensor{view.name, view.dtype, view.shape, {}};
    tensor.data.assign(view.data, view.data + view.bytes());
    auto* scales = reinterpret_cast<float*>(tensor.data.data());
    for (std::int64_t i = 0; i < view.numel() && view.name.ends_with(".row_scales"); ++i)
      scales[i] = f16_to_float(float_to_f16(scales[i]));
    tensors.push_back(std::move(tensor));
  }
  std::vector<TensorView> views;
  for (const OwnedTensor& tensor : tensors) views.push_back(tensor.view());
  fs::remove(to / "model.safetensors");
  write_safetensors(to / "model.safetensors", views, {});
}

TEST_CASE("scales of FP16 would move roundings of inputs, and logits by more than 1e-3") {
  const PackScene scene("quest:weights=4,activations=4", true);
  pack_trained(scene.job);
  const auto trained = make_training_quantizer(scene.text);
  const auto expected = graph_logits(scene.job.model, quantized_product(trained.value));
  round_scales(scene.job.out, scene.folder.path / "halves");
  const double whole = distance(engine_logits(scene.job.out, Runtime(), false), expected);
  const double halves =
      distance(engine_logits(scene.folder.path / "halves", Runtime(), false), expected);
  MESSAGE("relative error of logits: FP32 scales ", whole, ", FP16 scales ", halves);
  CHECK(whole < 1e-4);
  CHECK(halves > 1e-3);
}

TEST_CASE("weights that were trained on their lattice are packed as they are") {
  for (const char* quantizer :
       {"quest:weights=4,activations=4,hadamard=8", "ste:weights=5,activations=6"}) {
    CAPTURE(quantizer);
    const PackScene scene(quantizer, false, DType::f32, "eco");
    const auto record = nlohmann::json::parse(read_text(scene.job.model / kQuantizerRecord));
    CHECK(record.at("weights_are_levels") == true);
    pack_trained(scene.job);
    const Safetensors packed = Safetensors::open_folder(scene.job.out);
    const Safetensors steps = Safetensors::open(scene.job.model / "quantizer.safetensors");
    Weights state;
    for (const TensorView& view : steps.tensors())
      state["steps." + view.name.substr(0, view.name.size() - 5)] = map_tensor(view);
    const auto lattice = make_training_quantizer(quantizer).value.lattice;
    const auto expected = graph_logits(scene.job.model, lattice_product(lattice, state));
    const double error = distance(engine_logits(scene.job.out, Runtime(), false), expected);
    CHECK_MESSAGE(error < 1e-3, quantizer, ": ", error);
    const std::string query = "model.layers.0.self_attn.q_proj";
    const TensorView& scales = packed.get(query + ".row_scales");
    const TensorView& trained = steps.get(query + ".weight_step");
    REQUIRE(scales.bytes() == trained.bytes());
    CHECK(std::equal(scales.data, scales.data + scales.bytes(), trained.data));
    fs::remove(scene.job.model / "quantizer.safetensors");
    PackJob again = scene.job;
    again.out = scene.folder.path / "again";
    CHECK_THROWS_AS(pack_trained(again), Error);
  }
}

TEST_CASE("pack writes a folder that pack alone replaces, and says what was not exact") {
  PackScene scene("quest:hadamard=8", false, DType::bf16);
  const PackReport report = pack_trained(scene.job);
  REQUIRE(report.warnings.size() == 1);
  CHECK(report.warnings[0].find("--dtype f32") != std::string::npos);
  CHECK(report.stored == "4-bit midrise rows Hadamard 8, 4-bit gaussian inputs");
  CHECK(report.layer_bits > 4);
  CHECK(trained_quantizer(scene.job.out) == report.quantizer);
  const std::string weights = read_text(scene.job.out / "model.safetensors");
  CHECK(report.file_bytes == std::ssize(weights));
  CHECK(scene.failure().find("--force") != std::string::npos);
  scene.job.replace = true;
  pack_trained(scene.job);
  CHECK(read_text(scene.job.out / "model.safetensors") == weights);
  write_file(scene.job.out / "mine.txt", "mine");
  CHECK(scene.failure().find("mine.txt, which pack did not write") != std::string::npos);
}

TEST_CASE("what cannot be packed is an error that leaves nothing") {
  for (const auto& [quantizer, says] :
       {std::pair{"lsq", "a model trained through lsq:"},
        {"pact", "a model trained through pact:"},
        {"quest:hadamard=8,weights=1", "quantizer quest: got weights=1"},
        {"quest:hadamard=8,weights=16,activations=4", "its weights are not quantized"},
        {"quest:hadamard=8,grid=e2m1", "got grid=e2m1"},
        {"quest:hadamard=8,sparse=1", "got sparse=1"}}) {
    CAPTURE(quantizer);
    const PackScene scene(quantizer);
    CHECK(scene.failure().find(says) != std::string::npos);
    CHECK_FALSE(fs::exists(scene.job.out));
  }
}

TEST_CASE("a folder without a record, with a wrong one, or already packed is refused") {
  PackScene scene("quest:hadamard=8");
  const fs::path record = scene.job.model / kQuantizerRecord;
  const std::string good = read_text(record);
  fs::remove(record);
  CHECK(scene.failure().find("no quantizer in a quantizer.json") != std::string::npos);
  write_file(record, "[1]");
  CHECK(scene.failure().find("no quantizer in a quantizer.json") != std::string::npos);
  write_file(record, R"({"quantizer": "tricky"})");
  CHECK(scene.failure().find("a2qplus, lsq, pact, quarot, quest, ste") != std::string::npos);
  write_file(record, R"({"quantizer": "quest:hadamard=8", "layers": ["a"]})");
  CHECK(scene.failure().find("got 1 layers, expected the 14") != std::string::npos);
  CHECK_FALSE(fs::exists(scene.job.out));
  write_file(record, good);
  pack_trained(scene.job);
  scene.job.model = scene.job.out;
  scene.job.out = scene.folder.path / "again";
  CHECK(scene.failure().find("got a packed model") != std::string::npos);
}

}  // namespace
}  // namespace karat
