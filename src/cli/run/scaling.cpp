// karat scaling: Fits what quantization costs in size to the losses of trained models
#include "karat/scaling.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.h"

namespace karat {
namespace {

constexpr const char* kScalingHelp =
    R"(Fits what quantization costs in size to the losses of trained models

  karat scaling runs/small runs/middle runs/large runs/small-w4a4 runs/large-w4a4

The folders are what karat train wrote, of three sizes or more, with one text and one validation.
Fitted is L = a / (N eff)^b + c / D^d + e of N, the weights of the blocks' linear layers, and D, the
tokens trained on: a quantized model does what an unquantized one of eff times its size would do.
Standard errors are those of resampled validation sequences; what another seed would change is not
in them. Parameters that the runs do not determine are refused or said.)";

struct ScalingArguments {
  std::vector<std::filesystem::path> folders;
  ScalingOptions options;
  double floor = 0;
  bool json = false;
};

nlohmann::json json_of(const Estimate& estimate) {
  return {{"value", estimate.value}, {"error", estimate.error}};
}

nlohmann::json json_of(const std::vector<ScalingRun>& runs, const ScalingLaw& law) {
  nlohmann::json object = {{"a", json_of(law.a)}, {"b", json_of(law.b)}, {"open", law.open}};
  if (law.data) {
    object["c"] = json_of(law.data->first);
    object["d"] = json_of(law.data->second);
    object["e"] = json_of(law.constants.front().second);
  } else {
    for (const auto& [tokens, constant] : law.constants)
      object["constants"].push_back({{"tokens", tokens}, {"constant", json_of(constant)}});
  }
  for (const auto& kind : law.kinds)
    object["kinds"].push_back(
        {{"kind", kind.kind}, {"eff", json_of(kind.efficiency)}, {"runs", kind.runs}});
  for (std::size_t i = 0; i < runs.size(); ++i) {
    double loss = 0;
    for (const double one : runs[i].losses)
      loss += one / static_cast<double>(runs[i].losses.size());
    object["runs"].push_back({{"folder", runs[i].name},
                              {"kind", runs[i].kind},
                              {"size", runs[i].size},
                              {"tokens", runs[i].tokens},
                              {"loss", loss},
                              {"fitted", law.fitted[i]}});
  }
  return object;
}

std::string text_of(const Estimate& estimate) {
  return fmt::format("{:.4g} ± {:.2g}", estimate.value, estimate.error);
}

void print(const nlohmann::json& object, const ScalingLaw& law) {
  fmt::print("L = a / (N eff)^b + {}\n", law.data ? "c / D^d + e" : "a constant");
  fmt::print("a {}, b {}", text_of(law.a), text_of(law.b));
  if (law.data) fmt::print(", c {}, d {}", text_of(law.data->first), text_of(law.data->second));
  for (const auto& [tokens, constant] : law.constants)
    if (law.data)
      fmt::print(", e {}", text_of(constant));
    else
      fmt::print(", constant {} at {:.0f} tokens", text_of(constant), tokens);
  fmt::print("\n\n");
  std::vector<std::vector<std::string>> table = {{"run", "N", "tokens", "loss", "fitted"}};
  for (const auto& run : object.at("runs"))
    table.push_back({run.at("folder"), fmt::format("{:.0f}", run.at("size").get<double>()),
                     fmt::format("{:.0f}", run.at("tokens").get<double>()),
                     fmt::format("{:.4f}", run.at("loss").get<double>()),
                     fmt::format("{:.4f}", run.at("fitted").get<double>())});
  fmt::print("{}\n", format_table(table));
  table = {{"quantizer", "eff", "runs"}};
  for (const auto& kind : law.kinds)
    table.push_back({kind.kind.empty() ? "none" : kind.kind,
                     kind.kind.empty() ? "1" : text_of(kind.efficiency),
                     fmt::format("{}", kind.runs)});
  fmt::print("{}", format_table(table));
  for (const std::string& open : law.open) fmt::print("\nnot determined: {}\n", open);
}

}  // namespace

Action scaling_verb(CLI::App& app) {
  app.description(kScalingHelp);
  auto arguments = std::make_shared<ScalingArguments>();
  app.add_option("runs", arguments->folders, "Folders that karat train wrote")->required();
  auto* floor = app.add_option("--floor", arguments->floor, "e, where it is known (0: none)")
                    ->check(CLI::NonNegativeNumber);
  app.add_option("--resamples", arguments->options.resamples, "Fits for the standard errors")
      ->check(CLI::Range(2, 100000))
      ->capture_default_str();
  app.add_option("--seed", arguments->options.seed, "Of the resampling")
      ->check(whole_number(std::numeric_limits<std::uint64_t>::max()))
      ->capture_default_str();
  app.add_flag("--json", arguments->json, "Print the law as JSON on stdout");
  const auto work = [arguments, floor] {
    if (floor->count() > 0) arguments->options.floor = arguments->floor;
    const auto runs = read_scaling_runs(arguments->folders);
    const ScalingLaw law = fit_scaling_law(runs, arguments->options);
    const nlohmann::json object = json_of(runs, law);
    if (arguments->json)
      fmt::print("{}\n", object.dump(2));
    else
      print(object, law);
  };
  return {work, Action::Threads::one};
}

}  // namespace karat
