// karat pack: Stores a model that was trained through a quantizer as it was trained
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/warnings.h"
#include "karat/train.h"

namespace karat {
namespace {

constexpr const char* kPackHelp =
    R"(Stores a model that was trained through a quantizer as it was trained

  karat train config.json ... --out trained --quantize quest:weights=4,activations=4
  karat pack trained --out small
  karat run small --prompt "Once upon a time"

The folder that train wrote holds the weights before quantizing; here they are quantized as its
quantizer.json says, and packed. The new folder computes what training computed: its inputs are
rounded as they were there. Nothing is measured and nothing is chosen, so there is no text and no
method. Stored are quest with grid=uniform, quarot and ste, weights of 2 to 6 or of 8 bits.)";

struct PackArguments {
  PackJob job;
  bool json = false;
};

void print(const PackArguments& a, const PackReport& report) {
  if (a.json) {
    const nlohmann::json object = {
        {"out", a.job.out.string()},       {"quantizer", report.quantizer},
        {"stored", report.stored},         {"layers", report.layers},
        {"layer_bits", report.layer_bits}, {"file_bytes", report.file_bytes},
        {"warnings", report.warnings}};
    fmt::print("{}\n", object.dump(2));
    return;
  }
  fmt::print("quantizer {}\n", report.quantizer);
  fmt::print("layers    {}, {:.3f} bits a weight: {}\n", report.layers, report.layer_bits,
             report.stored);
  fmt::print("file      {:.3f} MB\n", static_cast<double>(report.file_bytes) * 1e-6);
  fmt::print("written   {}\n", a.job.out.string());
}

}  // namespace

Action pack_verb(CLI::App& app) {
  app.description(kPackHelp);
  auto arguments = std::make_shared<PackArguments>();
  PackJob& job = arguments->job;
  app.add_option("model", job.model, "Folder that karat train --quantize wrote")->required();
  app.add_option("--out", job.out, "Folder to write")->required();
  app.add_flag("--force", job.replace, "Replace a folder that pack wrote before");
  app.add_flag("--json", arguments->json, "Print what was written as JSON");
  return [arguments] {
    const PackReport report = pack_trained(arguments->job);
    tell(report.warnings);
    print(*arguments, report);
  };
}

}  // namespace karat
