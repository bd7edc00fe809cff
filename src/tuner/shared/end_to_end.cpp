#include "tuner/shared/end_to_end.h"

#include <cmath>

namespace karat {

EndToEnd end_to_end(const std::string& owner, Options& given, std::int64_t iterations,
                    std::int64_t batch) {
  EndToEnd options{.owner = owner};
  options.iterations = given.integer("iterations", iterations, 1, 1000000, "steps");
  options.batch = given.integer("batch", batch, 1, 1 << 20, "sequences of a step");
  const std::string loss = given.choice(
      "loss", "kl", {"kl", "ce", "block"},
      "of the whole model: KL to the original, or cross-entropy; block: of each block's outputs");
  options.on = loss == "kl" ? TunedOn::divergence : loss == "ce" ? TunedOn::text : TunedOn::block;
  options.held_out = given.number(
      "held", 0.125, 0, 0.9, "share of the sequences that judges and is not learned from; 0: all");
  return options;
}

Descent descent_of(const EndToEnd& options, const TunedLoss& loss) {
  constexpr std::int64_t kJudged = 3;
  Descent descent{
      .owner = "tuner " + options.owner, .steps = options.iterations, .batch = options.batch};
  descent.held_out =
      static_cast<std::int64_t>(std::floor(options.held_out * static_cast<double>(loss.sequences)));
  if (options.on != TunedOn::block) descent.judged = kJudged;
  return descent;
}

Tuner end_to_end_tuner(const EndToEnd& options, bool weights, const TuneFn& tune) {
  const bool block = options.on == TunedOn::block;
  return {.needs = {.blocks = block, .text = !block},
          .in_turn = {{.name = options.owner,
                       .on = options.on,
                       .weights = weights,
                       .steps = [steps = options.iterations](std::int64_t) { return steps; },
                       .tune = tune}}};
}

}  // namespace karat
