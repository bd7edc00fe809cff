#include "karat/train.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/temporary.h"
#include "core/threads.h"
#include "karat/architecture.h"
#include "karat/error.h"
#include "karat/safetensors.h"
#include "karat/tokenizer.h"
#include "model/parallel.h"
#include "train/data.h"
#include "train/gradient.h"
#include "train/testing.h"
#include "tuner/shared/training_quantizer.h"

namespace karat {
namespace {
namespace fs = std::filesystem;

TEST_CASE("training learns and writes a Hugging Face folder") {
  TrainScene scene;
  scene.options.steps = 60;
  scene.options.validation = {scene.folder.path / "held-out.txt"};
  scene.options.validate_every = 20;
  scene.options.dtype = DType::bf16;
  std::int64_t reports = 0;
  const TrainResult result = train(scene.options, [&](const ProgressEvent& event) {
    reports += event.stage == "train" ? 1 : 0;
    return true;
  });
  CHECK(reports == 60);
  CHECK(result.curve.front().loss > 7.5);  // ln 4096 = 8.3
  CHECK(result.curve.back().loss < 4.0);   // eight words: ln 8 = 2.1 and what parts documents
  REQUIRE(result.curve.back().validation);
  CHECK(*result.curve.back().validation < 4.0);
  CHECK(result.tokens == 60 * 5 * 31);

  Architecture arch = read_architecture(scene.options.out);
  Safetensors file = Safetensors::open_folder(scene.options.out);
  match_weights(arch, file);
  CHECK(file.get(arch.embedding).dtype == DType::bf16);
  CHECK(file.tensors().size() == tensor_shapes(arch).size());
  CHECK(Tokenizer::open(scene.options.out).find("<|endoftext|>") == 0);
  const auto log = nlohmann::json::parse(read_text(scene.options.out / "training_log.json"));
  CHECK(log.at("curve").size() == result.curve.size());
  CHECK(log.at("cpu_seconds") > 0);
  CHECK(nlohmann::json::parse(read_text(scene.options.out / "config.json")).at("torch_dtype") ==
        "bfloat16");
  CHECK_FALSE(fs::exists(scene.options.out.string() + ".work"));
}

TEST_CASE("a run interrupted and resumed ends in the same bytes") {
  TrainScene whole, stopped;
  const TrainResult at_once = train(whole.options);
  CHECK_THROWS_AS(train(stopped.options, stop_at(5)), Interrupted);
  CHECK_FALSE(fs::exists(stopped.options.out));
  stopped.options.resume = true;
  CHECK_THROWS_AS(train(stopped.options, stop_at(6)), Interrupted);
  const TrainResult resumed = train(stopped.options);
  CHECK(whole.weights() == stopped.weights());
  REQUIRE(resumed.curve.size() == at_once.curve.size());
  for (std::size_t i = 0; i < at_once.curve.size(); ++i)
    CHECK(resumed.curve[i].loss == at_once.curve[i].loss);
  CHECK(resumed.tokens == at_once.tokens);
}

TEST_CASE("a resume with other settings, config or data is refused") {
  TrainScene scene;
  scene.options.checkpoint_every = 3;
  CHECK_THROWS_AS(train(scene.options, stop_at(4)), Interrupted);
  CHECK(failure(scene.options).find("unfinished run") != std::string::npos);
  scene.options.resume = true;
  TrainOptions other = scene.options;
  other.optimizer.lr = 0.01;
  CHECK(failure(other).find("lr = 0.01") != std::string::npos);
  other = scene.options;
  other.data = {scene.folder.path / "held-out.txt"};
  CHECK(failure(other).find("data") != std::string::npos);
  std::string config = kTinyLlama;
  config.replace(config.find("1e-5"), 4, "1e-6");
  write_file(scene.folder.path / "other.json", config);
  other = scene.options;
  other.config = scene.folder.path / "other.json";
  CHECK(failure(other).find("config") != std::string::npos);
  CHECK(failure(scene.options) == "no error");  // none of them spoiled the checkpoint
}

TEST_CASE("a damaged checkpoint is an error") {
  TrainScene scene;
  CHECK_THROWS_AS(train(scene.options, stop_at(4)), Interrupted);
  scene.options.resume = true;
  const fs::path file = scene.options.out.string() + ".work/checkpoint.safetensors";
  const std::string bytes = read_text(file);
  write_file(file, std::string_view(bytes).substr(0, bytes.size() / 2));
  CHECK(failure(scene.options) != "no error");
  fs::remove(file);
  CHECK(failure(scene.options).find("no checkpoint") != std::string::npos);
}

TEST_CASE("nothing of the user's is lost to a run, whatever --force says") {
  TrainScene scene;
  const fs::path work = scene.options.out.string() + ".work";
  scene.options.steps = 1;
  const auto refused = [&](const char* says) {
    for (const bool replace : {false, true}) {
      scene.options.replace = replace;
      CHECK(failure(scene.options).find(says) != std::string::npos);
    }
  };
  fs::create_directory(work);
  write_file(work / "notes.txt", "mine");
  refused("notes.txt in the way");
  scene.options.work = work;  // a folder that was named may hold other files
  write_file(work / "config.json", "mine");
  write_file(work / "checkpoint.safetensors", "mine");
  refused("checkpoint.safetensors in the way");
  fs::remove(work / "checkpoint.safetensors");
  scene.options.replace = false;
  CHECK(failure(scene.options) == "no error");
  CHECK(read_text(work / "notes.txt") == "mine");
  CHECK(read_text(work / "config.json") == "mine");
  CHECK_FALSE(fs::exists(work / "checkpoint.safetensors"));

  scene.options.replace = true;
  CHECK(failure(scene.options) == "no error");  // a former output makes way
  write_file(scene.options.out / "notes.txt", "mine");
  refused("notes.txt, which train did not write");
  CHECK(read_text(scene.options.out / "notes.txt") == "mine");
  scene.options.out = scene.folder.path;  // holds the config and the data
  refused("which is read");
  scene.options.out = scene.folder.path / "no" / "out";
  refused("no folder");
}

TEST_CASE("a loss that is not finite names the step and leaves nothing") {
  TrainScene scene;
  scene.options.optimizer.lr = 1e30;
  scene.options.optimizer.warmup = 0;
  const std::string text = failure(scene.options);
  CHECK(text.find("train: step 2") != std::string::npos);
  CHECK(scene.clean());
}

TEST_CASE("bad options and inputs are errors that leave nothing") {
  const TrainScene scene;
  const auto rejects = [&](auto change) {
    TrainOptions options = scene.options;
    change(options);
    CHECK(failure(options) != "no error");
    CHECK(scene.clean());
  };
  rejects([](TrainOptions& o) { o.steps = 0; });
  rejects([](TrainOptions& o) { o.batch = -1; });
  rejects([](TrainOptions& o) { o.sequence = 33; });
  rejects([](TrainOptions& o) { o.optimizer.lr = 0; });
  rejects([](TrainOptions& o) { o.optimizer.beta2 = 1; });
  rejects([](TrainOptions& o) { o.dtype = DType::i8; });
  rejects([](TrainOptions& o) { o.data.clear(); });
  rejects([](TrainOptions& o) { o.data = {"absent.txt"}; });
  rejects([](TrainOptions& o) { o.tokenizer = "absent"; });
  rejects([](TrainOptions& o) { o.config = "absent.json"; });
  write_file(scene.folder.path / "short.txt", "the sea");
  rejects([&](TrainOptions& o) { o.data = {scene.folder.path / "short.txt"}; });
  std::int64_t events = 0;  // none: nothing was tokenized before
  TrainOptions late = scene.options;
  late.validation = {"absent.txt"};
  CHECK_THROWS_AS(train(late, [&](const ProgressEvent&) { return ++events > 0; }), Error);
  CHECK(events == 0);
  rejects([&](TrainOptions& o) { o.validation = {scene.folder.path / "short.txt"}; });
  std::string small = kTinyLlama;
  small.replace(small.find("4096"), 4, "4095");
  write_file(scene.folder.path / "small.json", small);
  rejects([&](TrainOptions& o) { o.config = scene.folder.path / "small.json"; });
}

TEST_CASE("GPT-2's Conv1D weights are saved as they are stored") {
  TrainScene scene(kTinyGpt2);
  scene.options.steps = 2;
  train(scene.options);
  Architecture arch = read_architecture(scene.options.out);
  Safetensors file = Safetensors::open_folder(scene.options.out);
  match_weights(arch, file);
  const Linear& up = arch.blocks[0].mlp.up;
  CHECK(file.get(up.name + ".weight").shape == std::vector<std::int64_t>{up.in, up.out});
}

TEST_CASE("training through a quantizer learns, and its record says how to quantize") {
  TrainScene scene;
  scene.options.steps = 80;
  scene.options.validation = {scene.folder.path / "held-out.txt"};
  scene.options.quantize = "lsq:weights=4,activations=4";
  const TrainResult result = train(scene.options);
  CHECK(result.curve.back().loss < 4.5);
  REQUIRE(result.validation_losses.size() > 1);
  double sum = 0;
  for (const double loss : result.validation_losses) sum += loss;
  CHECK(sum / static_cast<double>(result.validation_losses.size()) ==
        doctest::Approx(*result.curve.back().validation).epsilon(1e-5));

  REQUIRE(result.gradient_alignment.size() == 2);
  CHECK(result.gradient_alignment[0] > 0.1);
  CHECK(result.gradient_alignment[1] < 1);

  Architecture arch = read_architecture(scene.options.out);
  CHECK(Safetensors::open_folder(scene.options.out).tensors().size() == tensor_shapes(arch).size());
  const auto record = nlohmann::json::parse(read_text(scene.options.out / "quantizer.json"));
  CHECK(record.at("quantizer") == "lsq:weights=4,activations=4,zero=0,rows=0,decay=0.1");
  CHECK(record.at("layers").size() == 14);
  CHECK(record.at("exact") == true);
  const auto learned = Safetensors::open(scene.options.out / "quantizer.safetensors");
  CHECK(learned.tensors().size() == 28);
  CHECK(learned.get(record.at("layers")[0].get<std::string>() + ".input_step").dtype == DType::f32);
  const auto log = nlohmann::json::parse(read_text(scene.options.out / "training_log.json"));
  CHECK(log.at("quantizer") == record);
  CHECK(log.at("settings").at("quantizer") == record.at("quantizer"));

  TrainScene plain;
  plain.options.steps = 80;
  train(plain.options);
  CHECK(plain.weights() != scene.weights());
  scene.options.replace = true;  // what it wrote may be replaced, the record included
  scene.options.quantize.clear();
  scene.options.validation.clear();
  train(scene.options);
  CHECK(plain.weights() == scene.weights());
  CHECK_FALSE(fs::exists(scene.options.out / "quantizer.json"));
}

TEST_CASE("what is written quantizes to the model that was trained") {
  for (const char* name : {"lsq:weights=3,activations=2,rows=1", "quest:hadamard=8,sparse=1",
                           "a2qplus:weights=4,activations=4,accumulator=9"}) {
    CAPTURE(name);
    TrainScene scene;
    scene.options.validation = {scene.folder.path / "held-out.txt"};
    scene.options.quantize = name;
    const TrainResult result = train(scene.options);

    Architecture arch = read_architecture(scene.options.out);
    Safetensors file = Safetensors::open_folder(scene.options.out);
    match_weights(arch, file);
    Weights weights = load_ends(arch, file);
    for (std::size_t i = 0; i < arch.blocks.size(); ++i) weights.merge(load_block(arch, file, i));
    const fs::path learned = scene.options.out / "quantizer.safetensors";
    std::optional<Safetensors> steps;
    if (fs::exists(learned)) steps.emplace(Safetensors::open(learned));
    if (steps)
      for (const TensorView& view : steps->tensors()) weights[view.name] = map_tensor(view);
    const auto record = nlohmann::json::parse(read_text(scene.options.out / "quantizer.json"));
    const auto quantizer = make_training_quantizer(record.at("quantizer").get<std::string>());
    const auto losses = [&](const LinearProduct& multiply) {
      const TemporaryFolder cache;
      const auto stream = TokenStreamFile::open(
          {scene.options.validation}, scene.options.tokenizer,
          *Tokenizer::open(scene.options.out).find("<|endoftext|>"), cache.path, {});
      WindowOrder windows(stream.size(), 32, 0);
      std::vector<torch::Tensor> rows;
      for (std::size_t i = 0; i < result.validation_losses.size(); ++i)
        rows.push_back(stream.slice(windows.begin_of(std::int64_t(i)), 32));
      const SerialTorch single;
      return sequence_losses(arch, weights, torch::cat(rows), multiply);
    };
    CHECK(losses(quantized_product(quantizer.value)) == result.validation_losses);
    CHECK(losses({}) != result.validation_losses);
  }
}

TEST_CASE("quantized training: the same bytes resumed and with any number of threads") {
  for (const char* quantizer : {"quest:weights=2,activations=3,hadamard=8", "lsq:weights=2",
                                "quarot:hadamard=4,weights=1,activations=1", "lsq:activations=3"}) {
    CAPTURE(quantizer);
    TrainScene whole, stopped;
    whole.options.quantize = stopped.options.quantize = quantizer;
    if (quantizer == std::string("lsq:activations=3"))
      whole.options.policy = stopped.options.policy = "gaqat:window=3,threshold=0.6";
    {
      const ThreadScope scope(1);
      train(whole.options);
    }
    const ThreadScope scope(3);
    CHECK_THROWS_AS(train(stopped.options, stop_at(5)), Interrupted);
    stopped.options.resume = true;
    TrainOptions other = stopped.options;
    other.quantize = "pact:weights=3";
    CHECK(failure(other).find("quantizer = \"pact:") != std::string::npos);
    if (other.policy.empty()) {  // else there is nothing to gate
      other.quantize.clear();
      CHECK(failure(other).find("quantizer = null") != std::string::npos);
    }
    train(stopped.options);
    CHECK(whole.weights() == stopped.weights());
    const fs::path learned = whole.options.out / "quantizer.safetensors";
    CHECK(fs::exists(learned) == (std::string(quantizer).starts_with("lsq")));
    if (fs::exists(learned))
      CHECK(read_text(learned) == read_text(stopped.options.out / "quantizer.safetensors"));
  }
}

TEST_CASE("a policy changes the weights, and a run does not go on with another") {
  TrainScene plain, flat, stopped;
  flat.options.policy = stopped.options.policy = "sagm:rho=0.5";
  train(plain.options);
  train(flat.options);
  CHECK(plain.weights() != flat.weights());
  CHECK_THROWS_AS(train(stopped.options, stop_at(5)), Interrupted);
  stopped.options.resume = true;
  TrainOptions other = stopped.options;
  other.policy = "sagm";
  CHECK(failure(other).find("policy = \"sagm:rho=0.05,alpha=0.001\"") != std::string::npos);
  train(stopped.options);
  CHECK(flat.weights() == stopped.weights());
}

TEST_CASE("a quantizer that cannot be is an error that leaves nothing") {
  TrainScene scene;
  const auto refused = [&](const char* quantizer, const char* says) {
    scene.options.quantize = quantizer;
    CAPTURE(quantizer);
    CHECK(failure(scene.options).find(says) != std::string::npos);
    CHECK(scene.clean());
  };
  refused("quest", "rows of 16 inputs, expected a multiple of 128");
  refused("quest:hadamard=16", "rows of 24 inputs, expected a multiple of 16");
  refused("quest:weights=12", "1 to 8, or 16");
  refused("tricky", "a2qplus, lsq, pact, quarot, quest, ste");
  refused("quest:grid=nf4", "uniform, e2m1");
  scene.options.policy = "sam";
  refused("lsq", "'sam', expected gaqat, sagm");
  scene.options.policy = "gaqat";
  refused("ste", "--policy: got gaqat, expected --quantize with steps that are learned");
  scene.options.policy.clear();
  scene.options.optimizer_name = "sgd";
  refused("lsq", "'sgd', expected adamw, eco, solo");
  scene.options.optimizer_name = "eco";
  refused("", "--optimizer: got eco, expected --quantize");
  refused("lsq", "--optimizer: got eco, expected --quantize");
  refused("quest:hadamard=8,sparse=1", "--optimizer: got eco, expected --quantize");
  refused("ste:weights=16", "--optimizer: got eco, expected --quantize");
  scene.options.policy = "sagm";
  refused("ste", "--policy: got sagm, expected none beside --optimizer eco");
  scene.options.policy.clear();
  scene.options.optimizer_name.clear();
  scene.options.optimizer.lr = 1e30;
  scene.options.optimizer.warmup = 0;
  refused("quest:hadamard=8", "train: step ");
}

}  // namespace
}  // namespace karat
