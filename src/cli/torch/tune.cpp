// karat tune: Quantizes a model and trains what it has become, block by block or as a whole
#include <CLI/App.hpp>
#include <memory>
#include <string>
#include <vector>

#include "cli/torch/quantize/arguments.h"
#include "karat/error.h"
#include "karat/recipe.h"

namespace karat {
namespace {

constexpr const char* kTuneHelp =
    R"(Quantizes a model and trains what it has become, block by block or as a whole

  karat tune models/karat-tiny --calib text.txt --out tuned
  karat tune models/karat-tiny --bits 3 --group 64 --iterations 40 --calib text.txt --out tuned
  karat tune models/karat-tiny --method efficientqat --bits 2 --calib text.txt --out tuned
  karat tune models/karat-tiny --method gptq --tuner signround --calib text.txt --out tuned
  karat tune models/karat-tiny --method karat --tuner e2e-qp --calib text.txt --out tuned

This is `karat quantize` with the methods that learn. Tuners of blocks, signround (autoround) and
block-ap (efficientqat), take a block whose layers are solved and train its codes, and the scale and
zero of each group, until its outputs are near to those of the original block, while it reads what
the blocks tuned before it write (with --inputs original: what the original ones do). Tuners of the
model come when all blocks are there and make smaller how far its predictions are from the
original's (loss=kl), or the loss of the text (loss=ce): e2e-qp learns scales, dl-qat magnitudes and
a low-rank change of weights, lota-qaf a ternary change of codes, wct the weights kept at FP16. A +
puts tuners in turn, those of blocks first: --tuner block-ap+e2e-qp. All keep the best they met,
never worse on what judges than what they began with.

Time goes with --samples × --length × --iterations; the meter says what is left. What is finished is
kept in OUT.work, and the same command goes on after it, to the same bytes. Most tuners learn
through evenly spaced values alone: grid uniform, neither symmetric nor bilevel; e2e-qp through
whatever has scales, trellises too. A --tuner makes any method of such a grid one that learns, in
`karat quantize` and in the recipes of `karat compare` as well.)";

/// Throws Error, before anything is read, where nothing would be learned.
void check_learns(const QuantizeJob& job) {
  const Recipe recipe = find_method(job.method);
  if (!assemble(recipe, job.overrides).tuner.in_turn.empty()) return;
  std::vector<std::string> names;
  for (const Recipe& method : all_methods())
    if (method.tuner.text != "none") names.push_back(method.name);
  fail("tune", "method " + job.method + ", whose tuner is none", list_text(names),
       "or add --tuner signround");
}

}  // namespace

Action tune_verb(CLI::App& app) {
  app.description(kTuneHelp);
  auto arguments = std::make_shared<QuantizeArguments>();
  arguments->job.method = "autoround";
  declare_quantize(app, *arguments);
  return [arguments] {
    check_learns(arguments->job);
    run_quantize(*arguments);
  };
}

}  // namespace karat
