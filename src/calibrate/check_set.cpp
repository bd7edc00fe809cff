#include "calibrate/check_set.h"

#include <fmt/format.h>

#include "karat/error.h"

namespace karat {

void check_set(const Architecture& arch, const CalibrationSet& set, const SweepOptions& options) {
  const auto reject = [](const std::string& got, const std::string& expected,
                         const std::string& hint = {}) {
    fail("calibration", got, expected, hint);
  };
  if (!set.ids.defined() || set.ids.dim() != 2 || set.ids.numel() == 0)
    reject("no sequences", "ids [samples, length]", "give a calibration text");
  if (options.needs.backward() && options.propagate)
    reject("gradients with propagate", "one of the two");
  if (options.needs.guided && !options.needs.token_weights && !options.token_weights)
    reject("guided statistics without token weights", "those of a sweep with gradients");
  if (options.loss && (options.needs.ends || options.needs.factors != Sketch::none))
    reject("a loss of its own with what is about next tokens", "one of the two");
  if (options.needs.factors != Sketch::none && options.needs.text_gradients())
    reject("gradients of drawn labels and of the text's", "one of the two");
  if (options.needs.backward() && options.needs.blocks)
    reject("gradients and inputs of blocks", "one of the two");
  const Needs& needs = options.needs;
  if (arch.mixture() && (needs.token_weights || needs.guided || needs.factors != Sketch::none))
    reject("a mixture of experts", "a model whose layers see every token",
           "choose a method whose statistics are Hessians, gradients or Fisher information: karat, "
           "gptq, gwq");
  if (options.needs.backward() && options.first > 0)
    reject("gradients from a later block on", "all blocks");
  const auto time = set.ids.size(1);
  if (options.needs.backward() && time < 2)
    reject("sequences of 1 token", "at least 2", "the loss needs a next token");
  if (arch.max_positions > 0 && time > arch.max_positions)
    reject(fmt::format("sequences of {} tokens", time),
           fmt::format("at most {} positions", arch.max_positions), "ask for a smaller length");
  const auto low = set.ids.min().item<std::int64_t>(), high = set.ids.max().item<std::int64_t>();
  if (low < 0 || high >= arch.vocab)
    reject(fmt::format("token id {}", low < 0 ? low : high),
           fmt::format("ids below the vocabulary of {}", arch.vocab),
           "the tokenizer belongs to another model");
}

}  // namespace karat
