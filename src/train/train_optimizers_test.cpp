#include <doctest/doctest.h>

#include <utility>

#include "core/threads.h"
#include "karat/safetensors.h"
#include "karat/train.h"
#include "train/testing.h"

namespace karat {
namespace {

TEST_CASE("optimizers: the same bytes resumed and with any number of threads") {
  for (const auto& [optimizer, quantizer] :
       {std::pair{"solo:least=32", ""},
        {"solo", "lsq:weights=4"},
        {"eco:rounding=stochastic", "quest:weights=3,activations=4,hadamard=8"},
        {"eco", "ste:weights=4,activations=16"}}) {
    CAPTURE(optimizer);
    TrainScene whole, stopped;
    for (TrainOptions* options : {&whole.options, &stopped.options}) {
      options->optimizer_name = optimizer;
      options->quantize = quantizer;
    }
    {
      const ThreadScope scope(1);
      train(whole.options);
    }
    const ThreadScope scope(3);
    CHECK_THROWS_AS(train(stopped.options, stop_at(5)), Interrupted);
    stopped.options.resume = true;
    TrainOptions other = stopped.options;
    other.optimizer_name.clear();
    const std::string solo = "beta1 = 0.9",
                      eco = "optimizer = \"adamw\"";  // the first that differs
    CHECK(failure(other).find(optimizer[0] == 's' ? solo : eco) != std::string::npos);
    other = stopped.options;
    other.optimizer.beta1 = 0.7;
    CHECK(failure(other).find("beta1 = 0.7") != std::string::npos);
    train(stopped.options);
    CHECK(whole.weights() == stopped.weights());
  }
}

TEST_CASE("a checkpoint holds an optimizer's state in the bits that it has") {
  TrainScene scene;
  scene.options.optimizer_name = "eco";
  scene.options.quantize = "quest:weights=4,activations=4,hadamard=8";
  CHECK_THROWS_AS(train(scene.options, stop_at(2)), Interrupted);
  const auto file = Safetensors::open(scene.options.out.string() + ".work/checkpoint.safetensors");
  const std::string query = "model.layers.0.self_attn.q_proj.weight";
  CHECK(file.find("weights." + query) == nullptr);
  CHECK(file.get("codes." + query).bytes() == 16 * 16 / 2);
  CHECK(file.get("steps." + query).shape == std::vector<std::int64_t>{16, 1});
  CHECK(file.find("weights.model.embed_tokens.weight") != nullptr);
  scene.options.resume = true;
  const TrainResult result = train(scene.options);
  std::int64_t bytes = 0;
  for (const TensorView& view : file.tensors()) bytes += static_cast<std::int64_t>(view.bytes());
  CHECK(result.state_bytes + result.weight_bytes == bytes);

  TrainScene solo, plain;
  solo.options.optimizer_name = "solo";
  const TrainResult few = train(solo.options), many = train(plain.options);
  CHECK(many.state_bytes == 2 * many.weight_bytes);
  CHECK(few.weight_bytes == many.weight_bytes);
  CHECK(few.state_bytes < many.state_bytes / 6);  // the embedding is most of it
}

}  // namespace
}  // namespace karat
