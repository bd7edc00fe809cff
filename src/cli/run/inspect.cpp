// karat inspect: Describes a model: sizes, types, bits per weight
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/warnings.h"
#include "core/file.h"
#include "load/json.h"
#include "run/portrait.h"

namespace karat {
namespace {

struct InspectOptions {
  std::string model;
  bool tensors = false, json = false;
};

double ratio(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

/// karat_report.json of a quantized folder; null where there is none.
nlohmann::ordered_json read_report(const LanguageModel& model) {
  const auto path = model.folder() / "karat_report.json";
  if (!std::filesystem::exists(path)) return nullptr;
  return parse_json(read_text(path), path.string());
}

nlohmann::ordered_json tensors_json(const LanguageModel& model, const Portrait& portrait) {
  auto list = nlohmann::ordered_json::array();
  for (const TensorPortrait& tensor : portrait.tensors) {
    const float largest = largest_weight(model, tensor);  // NaN prints as null
    list.push_back({{"name", tensor.name},
                    {"shape", tensor.shape},
                    {"stored", tensor.stored},
                    {"bits_per_weight", ratio(tensor.bits, tensor.weights)},
                    {"kept", ratio(tensor.kept, tensor.weights)},
                    {"largest", largest}});
  }
  return list;
}

nlohmann::ordered_json to_json(const Portrait& p) {
  nlohmann::ordered_json json = {
      {"family", p.family},
      {"method", p.method.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(p.method)},
      {"parameters", p.parameters},
      {"layers", p.layers},
      {"hidden", p.hidden},
      {"ffn", p.ffn},
      {"heads", p.heads},
      {"kv_heads", p.kv_heads},
      {"head_dim", p.head_dim},
      {"context", p.context},
      {"vocab", p.vocab},
      {"tied", p.tied},
      {"types", p.types},
      {"file_bytes", p.file_bytes},
      {"file_bits_per_weight", ratio(8 * p.file_bytes, p.parameters)},
      {"bits_per_weight", ratio(p.layer_bits, p.layer_weights)},
      {"kept", ratio(p.kept, p.layer_weights)},
      {"cache_bytes_per_token", p.cache_bytes},
      {"weight_bytes_per_token", p.bytes_per_token},
      {"isa", p.isa}};
  if (p.experts > 0) json["experts"] = {{"count", p.experts}, {"per_token", p.experts_per_token}};
  return json;
}

void print(const Portrait& p) {
  const auto line = [](std::string_view what, const std::string& value) {
    fmt::print("{:<16} {}\n", what, value);
  };
  std::string types;
  for (const auto& [name, weights] : p.types)
    types += fmt::format("{}{} {:.1f} %", types.empty() ? "" : ", ", name,
                         100 * ratio(weights, p.parameters));
  line("family", p.family + (p.method.empty() ? "" : ", quantized by " + p.method));
  line("parameters", fmt::format("{:.2f} million{}", static_cast<double>(p.parameters) * 1e-6,
                                 p.tied ? ", embedding and head shared" : ""));
  line("shape", fmt::format("{} layers, {} wide, {} FFN, {} heads of {} ({} for keys and values)",
                            p.layers, p.hidden, p.ffn, p.heads, p.head_dim, p.kv_heads));
  if (p.experts > 0)
    line("experts",
         fmt::format("{} in a block, of which {} see a token", p.experts, p.experts_per_token));
  line("context", fmt::format("{} tokens, {} in the vocabulary", p.context, p.vocab));
  line("types", types);
  line("files", fmt::format("{:.3f} MB ({:.2f} MiB), {:.3f} bits per parameter",
                            static_cast<double>(p.file_bytes) * 1e-6,
                            static_cast<double>(p.file_bytes) / (1 << 20),
                            ratio(8 * p.file_bytes, p.parameters)));
  line("linear layers",
       fmt::format("{:.3f} bits per weight, {:.3f} % kept at FP16",
                   ratio(p.layer_bits, p.layer_weights), 100 * ratio(p.kept, p.layer_weights)));
  line("one more token", fmt::format("{:.1f} KiB of keys and values, reads {:.2f} MiB of weights",
                                     static_cast<double>(p.cache_bytes) / 1024,
                                     static_cast<double>(p.bytes_per_token) / (1 << 20)));
  line("kernels", p.isa);
}

/// ‖W − Ŵ‖² / ‖W‖² of each layer as the report tells it.
std::map<std::string, std::string> errors_of(const nlohmann::ordered_json& report) {
  std::map<std::string, std::string> errors;
  if (!report.is_object() || !report.contains("tensors")) return errors;
  for (const auto& layer : report["tensors"])
    if (layer.contains("name") && layer.contains("error") && layer["error"].is_number())
      errors[layer["name"].get<std::string>() + ".weight"] =
          fmt::format("{:.4f}", layer["error"].get<double>());
  return errors;
}

void print_tensors(const LanguageModel& model, const Portrait& portrait,
                   const nlohmann::ordered_json& report) {
  std::map<std::string, std::string> errors = errors_of(report);
  std::vector<std::vector<std::string>> rows{
      {"tensor", "shape", "stored", "bits/weight", "kept %", "KiB", "largest", "error"}};
  for (const TensorPortrait& tensor : portrait.tensors)
    rows.push_back({tensor.name, shape_text(tensor.shape), tensor.stored,
                    fmt::format("{:.3f}", ratio(tensor.bits, tensor.weights)),
                    fmt::format("{:.3f}", 100 * ratio(tensor.kept, tensor.weights)),
                    fmt::format("{:.1f}", static_cast<double>(tensor.bits) / 8192),
                    fmt::format("{:.4g}", largest_weight(model, tensor)), errors[tensor.name]});
  fmt::print("\n{}", format_table(rows));
}

void print_report(const nlohmann::ordered_json& report) {
  if (!report.is_object()) return;
  fmt::print("\nkarat_report.json\n");
  for (const auto& [key, value] : report.items())
    if (!value.is_array()) fmt::print("  {:<16} {}\n", key, value.dump());
}

void inspect(const InspectOptions& options) {
  const LanguageModel model = LanguageModel::open(options.model);
  tell(model.architecture().warnings);
  const Portrait portrait = draw_portrait(model);
  const nlohmann::ordered_json report = read_report(model);
  if (options.json) {
    nlohmann::ordered_json json = to_json(portrait);
    if (options.tensors) json["tensors"] = tensors_json(model, portrait);
    if (!report.is_null()) json["report"] = report;
    if (!model.architecture().warnings.empty()) json["warnings"] = model.architecture().warnings;
    fmt::print("{}\n", json.dump(2));
    return;
  }
  print(portrait);
  if (options.tensors) print_tensors(model, portrait, report);
  print_report(report);
}

}  // namespace

Action inspect_verb(CLI::App& app) {
  app.description(
      "Describes a model: sizes, types, bits per weight\n\n"
      "Works on Hugging Face folders, on GGUF files, and on what karat quantize wrote, whose\n"
      "karat_report.json it also shows. Bits are counted from the stored bytes: once over the "
      "whole files, and once "
      "over\n"
      "the linear layers of the blocks, which quantizing changes.\n\n"
      "  karat inspect models/karat-tiny --tensors");
  auto options = std::make_shared<InspectOptions>();
  app.add_option("model", options->model, "Folder or GGUF file of the model")->required();
  app.add_flag("--tensors", options->tensors, "One line per weight; reads them all");
  app.add_flag("--json", options->json, "Print JSON");
  const auto work = [options] { inspect(*options); };
  return {work, Action::Threads::one};
}

}  // namespace karat
