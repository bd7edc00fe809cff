#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/file.h"
#include "karat/architecture.h"
#include "karat/error.h"
#include "karat/scaling.h"
#include "load/json.h"

namespace karat {
namespace fs = std::filesystem;
using nlohmann::json;
namespace {

/// What must be the same of all runs.
struct Yardstick {
  std::string data;  // hash of text and tokenizer
  json validation = json::array();
  std::int64_t sequence = 0;
  bool operator==(const Yardstick&) const = default;
};

struct Read {
  ScalingRun run;
  Yardstick yardstick;
};

/// Quantizer, and policy and optimizer where they are not the plain ones.
std::string kind_of(const json& settings) {
  std::string kind;
  for (const char* key : {"quantizer", "policy", "optimizer"}) {
    const json value = settings.value(key, json());
    if (!value.is_string() || value == "adamw") continue;
    kind += (kind.empty() ? "" : " + ") + value.get<std::string>();
  }
  return kind;
}

double layer_weights(const fs::path& folder) {
  double sum = 0;
  Architecture arch = read_architecture(folder);
  for (const Block& block : arch.blocks)
    for (const Linear* layer : block.linears())
      sum += static_cast<double>(layer->in) * static_cast<double>(layer->out);
  return sum;
}

Read read_run(const fs::path& folder) {
  const fs::path file = folder / "training_log.json";
  if (!fs::is_regular_file(file))
    fail("scaling: " + folder.string(), "no training_log.json", "a folder that karat train wrote");
  const json log = parse_json(read_text(file), file.string());
  try {
    const json& settings = log.at("settings");
    Read read;
    read.run = {.name = folder.string(),
                .kind = kind_of(settings),
                .size = layer_weights(folder),
                .tokens = log.at("tokens_trained"),
                .losses = log.at("validation_losses")};
    read.yardstick = {settings.at("data"), json::array(), settings.at("sequence")};
    for (const json& entry : log.at("files"))
      if (entry.at("use") == "validation") read.yardstick.validation.push_back(entry.at("sha256"));
    return read;
  } catch (const json::exception&) {
    fail("read " + file.string(), "a log with an entry missing or of another type",
         "that of a training run of this version");
  }
}

/// Throws Error where the two cannot be compared.
void check_alike(const Read& first, const Read& other) {
  const auto require = [&](bool alike, const std::string& what) {
    if (!alike)
      fail("scaling: " + other.run.name, "other " + what + " than " + first.run.name, "the same",
           "losses can be compared on one text alone");
  };
  require(other.yardstick.data == first.yardstick.data, "training data or another tokenizer");
  require(other.yardstick.validation == first.yardstick.validation, "validation text");
  require(other.yardstick.sequence == first.yardstick.sequence, "lengths of sequences");
  require(other.run.losses.size() == first.run.losses.size(), "numbers of validation sequences");
}

}  // namespace

std::vector<ScalingRun> read_scaling_runs(const std::vector<fs::path>& folders) {
  std::vector<ScalingRun> runs;
  std::optional<Read> first;
  for (const fs::path& folder : folders) {
    const Read read = read_run(folder);
    if (read.run.losses.empty())
      fail("scaling: " + read.run.name, "no validation losses", "a run with --validation");
    if (!first) first = read;
    check_alike(*first, read);
    runs.push_back(read.run);
  }
  return runs;
}

}  // namespace karat
