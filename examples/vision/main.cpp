// Domain generalization with quantized training, the host of GAQAT: one run, its result as JSON.
//   build/release/karat_vision pacs.safetensors --target sketch --bits 4 --policy gaqat
// tools/vision_contest.py makes all runs of a table.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "karat/error.h"
#include "vision/generalize.h"

namespace {

struct Arguments {
  std::string data, target;
  std::int64_t per_domain = 400, side = 16;  // of made images
  bool quiet = false;
  karat::GeneralizeOptions options;
};

void declare(CLI::App& app, Arguments& a) {
  const auto option = [&](const std::string& name, auto& value, const std::string& help) {
    app.add_option(name, value, help)->capture_default_str();
  };
  app.add_option("data", a.data, "What tools/pacs.py wrote, or `stripes`: two domains made by rule")
      ->required();
  app.add_option("--target", a.target, "Name of the domain that is left out")->required();
  option("--bits", a.options.bits, "Of weights and inputs of the blocks' convolutions; 0: F32");
  option("--policy", a.options.policy, "Which gradients a step takes: sagm, gaqat:window=100,…");
  option("--width", a.options.width, "Channels of the first stage");
  option("--steps", a.options.steps, "Optimizer steps");
  option("--batch", a.options.batch, "Images of each source domain in a step");
  option("--lr", a.options.lr, "Peak learning rate of AdamW");
  option("--decay", a.options.decay, "Decoupled weight decay");
  option("--validate-every", a.options.validate_every, "Steps between measurements");
  option("--seed", a.options.seed, "Of weights, order and augmentation");
  app.add_flag("--quiet", a.quiet, "No progress on stderr");
}

karat::DomainImages images_of(const Arguments& a) {
  return a.data == "stripes" ? karat::striped_domains(a.per_domain, a.side, 1)
                             : karat::read_domain_images(a.data);
}

nlohmann::json point_of(const karat::GeneralizePoint& point) {
  return {{"step", point.step},
          {"loss", point.loss},
          {"source_accuracy", point.source},
          {"target_accuracy", point.target}};
}

nlohmann::json result_of(const karat::GeneralizeResult& result) {
  nlohmann::json json = {{"chosen", point_of(result.chosen)},
                         {"last", point_of(result.curve.back())},
                         {"target_images", result.target_images},
                         {"parameters", result.parameters},
                         {"seconds", result.seconds},
                         {"curve", nlohmann::json::array()},
                         {"scales", nlohmann::json::array()}};
  for (const auto& point : result.curve) json["curve"].push_back(point_of(point));
  for (const auto& point : result.scales)
    json["scales"].push_back({{"step", point.step},
                              {"scale", point.scale},
                              {"disorder", point.disorder},
                              {"conflict", point.conflict},
                              {"frozen", point.frozen}});
  return json;
}

bool show(const karat::ProgressEvent& event) {
  if (event.done % 10 == 0 || event.done == event.total)
    fmt::print(stderr, "\r{} {}/{}  {}  {:.0f} s left   ", event.stage, event.done, event.total,
               event.detail, event.seconds_left);
  if (event.done == event.total) fmt::print(stderr, "\n");
  return true;
}

void run(Arguments& a) {
  const karat::DomainImages set = images_of(a);
  const auto found = std::ranges::find(set.domain_names, a.target);
  if (found == set.domain_names.end())
    karat::fail("--target", a.target, fmt::format("{}", fmt::join(set.domain_names, ", ")));
  a.options.target = found - set.domain_names.begin();
  const auto result =
      karat::generalize(set, a.options, a.quiet ? karat::ProgressFn() : karat::ProgressFn(show));
  fmt::print("{}\n", result_of(result).dump(1));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains a small network on all domains but one and measures it on that one");
  Arguments arguments;
  declare(app, arguments);
  CLI11_PARSE(app, argc, argv);
  try {
    run(arguments);
  } catch (const karat::Error& error) {
    fmt::print(stderr, "karat_vision: {}\n", error.what());
    return 2;
  }
  return 0;
}
