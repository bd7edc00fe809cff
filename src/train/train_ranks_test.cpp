#include <doctest/doctest.h>

#include "karat/error.h"
#include "karat/train.h"
#include "ranks/testing.h"
#include "train/testing.h"

namespace karat {
namespace {

TEST_CASE("ranks share the work and the weights have the same bits") {
  for (const char* quantize : {"", "lsq:weights=4,activations=4"}) {
    TrainScene alone;
    alone.options.validation = {alone.folder.path / "held-out.txt"};
    alone.options.quantize = quantize;
    const TrainResult expected = train(alone.options);
    for (const int size : {2, 3}) {
      TrainScene shared;
      shared.options.validation = {shared.folder.path / "held-out.txt"};
      shared.options.quantize = quantize;
      TrainResult found;
      const auto errors = on_ranks(size, [&](Ranks& ranks) {
        const TrainResult own = train(shared.options);
        if (ranks.first()) found = own;
      });
      for (const std::string& error : errors) CHECK(error == "");
      CHECK(shared.weights() == alone.weights());
      CHECK(found.validation_losses == expected.validation_losses);
      CHECK(found.curve.back().loss == expected.curve.back().loss);
      for (const auto& entry : std::filesystem::directory_iterator(shared.folder.path))
        CHECK(entry.path().string().find("rank") == std::string::npos);
    }
  }
}

TEST_CASE("ranks go on from what rank 0 kept, in any number") {
  TrainScene whole;
  train(whole.options);
  TrainScene stopped;
  stopped.options.checkpoint_every = 5;
  CHECK_THROWS_AS(train(stopped.options, stop_at(6)), Interrupted);
  stopped.options.resume = true;
  const auto errors = on_ranks(2, [&](Ranks&) { train(stopped.options); });
  for (const std::string& error : errors) CHECK(error == "");
  CHECK(stopped.weights() == whole.weights());
}

TEST_CASE("ranks that are to train otherwise are refused") {
  TrainScene scene;
  const auto errors = on_ranks(2, [&](Ranks& ranks) {
    TrainOptions own = scene.options;
    if (!ranks.first()) own.optimizer.lr = 1;
    train(own);
  });
  for (const std::string& error : errors)
    CHECK(error.find("another training on rank 1") != std::string::npos);
  CHECK(scene.clean());
}

}  // namespace
}  // namespace karat
