// karat tune: Quantizes a model and trains what it has become, block by block
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
    R"(Quantizes a model and trains what it has become, block by block

  karat tune models/karat-tiny --calib text.txt --out tuned
  karat tune models/karat-tiny --bits 3 --group 64 --iterations 40 --calib text.txt --out tuned
  karat tune models/karat-tiny --method efficientqat --bits 2 --calib text.txt --out tuned
  karat tune models/karat-tiny --method gptq --tuner signround --calib text.txt --out tuned

This is `karat quantize` with the methods that learn. A block is solved as by any other method; then
its codes, and the scale and zero of each group, are trained until the block's outputs are near to
those of the original block, while it reads what the blocks tuned before it write (with --inputs
original: what the original ones do). autoround moves each weight's rounding and each group's range
by the signs of gradients; efficientqat trains the weights themselves, and scales and zeros, with
AdamW. Both keep the best they met, never worse on the text than what they began with.

Time goes with --samples × --length × --iterations; the meter says what is left. Finished blocks are
kept in OUT.work, and the same command goes on after them, to the same bytes. Only evenly spaced
values can be learned: grid uniform, neither symmetric nor bilevel. A --tuner makes any method of
that grid one that learns, in `karat quantize` and in the recipes of `karat compare` as well.)";

/// Throws Error, before anything is read, where nothing would be learned.
void check_learns(const QuantizeJob& job) {
  const Recipe recipe = find_method(job.method);
  if (assemble(recipe, job.overrides).tuner.tune) return;
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
