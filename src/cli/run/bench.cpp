// karat bench: Measures how fast a model runs here
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/run/runtime.h"
#include "cli/warnings.h"
#include "core/file.h"
#include "karat/bench.h"
#include "karat/error.h"

namespace karat {
namespace {

struct BenchVerb {
  std::string model, baseline;
  BenchOptions options;
  RuntimeChoice runtime;
  bool json = false;
};

/// The numbers by name, in the order that they are shown.
nlohmann::ordered_json to_json(const BenchVerb& verb, const BenchResult& result) {
  nlohmann::ordered_json json{{"model", verb.model},
                              {"isa", Runtime::current().instruction_set()},
                              {"threads", Runtime::current().threads()},
                              {"activations", name_of(verb.options.activations)},
                              {"kv", name_of(verb.options.cache)},
                              {"read_gigabytes_per_second", result.read_bandwidth},
                              {"load_seconds", result.load_seconds},
                              {"weight_bytes", result.weight_bytes},
                              {"mapped_bytes", result.mapped_bytes},
                              {"private_bytes", result.private_bytes},
                              {"cache_bytes", result.cache_bytes}};
  if (verb.options.prompt > 0)
    json["prefill"] = {{"tokens", verb.options.prompt},
                       {"tokens_per_second", result.prefill_tokens_per_second}};
  json["decode"] = nlohmann::ordered_json::array();
  for (const DecodeSpeed& speed : result.decode) {
    json["decode"].push_back(
        {{"context", speed.context},
         {"tokens_per_second", speed.tokens_per_second},
         {"gigabytes_per_second", speed.gigabytes_per_second},
         {"share_of_bandwidth", speed.gigabytes_per_second / result.read_bandwidth}});
    if (!result.uncounted.empty()) continue;
    json["decode"].back()["instructions_per_weight"] = speed.instructions_per_weight;
    json["decode"].back()["cycles_per_weight"] = speed.cycles_per_weight;
  }
  if (!result.uncounted.empty()) json["uncounted"] = result.uncounted;
  if (!result.warnings.empty()) json["warnings"] = result.warnings;
  return json;
}

/// "context 128: 12.3 tokens/s" of a report, name by name.
std::vector<std::pair<std::string, double>> rates(const nlohmann::ordered_json& report) {
  std::vector<std::pair<std::string, double>> found;
  if (report.contains("prefill"))
    found.emplace_back(fmt::format("prefill {}", report["prefill"].at("tokens").get<int>()),
                       report["prefill"].at("tokens_per_second").get<double>());
  for (const auto& decode : report.at("decode"))
    found.emplace_back(fmt::format("decode at {}", decode.at("context").get<std::int64_t>()),
                       decode.at("tokens_per_second").get<double>());
  return found;
}

/// Each rate as a multiple of the baseline's of the same name.
nlohmann::ordered_json ratios(const nlohmann::ordered_json& now, const std::string& path) try {
  const auto before = rates(nlohmann::ordered_json::parse(read_text(path)));
  nlohmann::ordered_json result = nlohmann::ordered_json::object();
  for (const auto& [name, rate] : rates(now))
    for (const auto& [old_name, old_rate] : before)
      if (name == old_name && old_rate > 0) result[name] = rate / old_rate;
  if (result.empty()) fail("read " + path, "no rate of the same name", "the same lengths");
  return result;
} catch (const nlohmann::json::exception&) {
  fail("read " + path, "something else", "what karat bench --json printed");
}

void print(const BenchResult& result, const nlohmann::ordered_json& json) {
  constexpr double kMiB = 1 << 20;
  fmt::print("kernels          {}, activations {}, cache {}, {} threads\n",
             json["isa"].get<std::string>(), json["activations"].get<std::string>(),
             json["kv"].get<std::string>(), json["threads"].get<int>());
  fmt::print("memory reads     {:.1f} GB/s\n", result.read_bandwidth);
  fmt::print("load             {:.3f} s to the first token\n", result.load_seconds);
  if (json.contains("prefill"))
    fmt::print("prefill {:<8} {:.1f} tokens/s\n", json["prefill"]["tokens"].get<int>(),
               result.prefill_tokens_per_second);
  for (const DecodeSpeed& speed : result.decode) {
    fmt::print("decode at {:<6} {:.2f} tokens/s, {:.2f} GB/s, {:.0f} % of what memory gives",
               speed.context, speed.tokens_per_second, speed.gigabytes_per_second,
               100 * speed.gigabytes_per_second / result.read_bandwidth);
    if (result.uncounted.empty())
      fmt::print("; {:.3f} instructions, {:.3f} cycles a weight", speed.instructions_per_weight,
                 speed.cycles_per_weight);
    fmt::print("\n");
  }
  if (!result.uncounted.empty())
    fmt::print("not counted      instructions, cycles: {}\n", result.uncounted);
  fmt::print(
      "memory           {:.0f} MiB mapped, {:.0f} MiB beside it, of which cache {:.0f} MiB\n",
      static_cast<double>(result.mapped_bytes) / kMiB,
      static_cast<double>(result.private_bytes) / kMiB,
      static_cast<double>(result.cache_bytes) / kMiB);
  if (json.contains("ratios"))
    for (const auto& [name, ratio] : json["ratios"].items())
      fmt::print("{:<16} {:.3f} times the baseline\n", name, ratio.get<double>());
}

void run(BenchVerb& verb) {
  const Runtime::Scope scope(verb.runtime.runtime());
  verb.options.activations = Runtime::current().activations();
  verb.options.cache = verb.runtime.cache_type();
  const BenchResult result = bench(verb.model, verb.options, terminal_progress());
  tell(result.warnings);
  nlohmann::ordered_json json = to_json(verb, result);
  if (!verb.baseline.empty()) json["ratios"] = ratios(json, verb.baseline);
  if (verb.json)
    fmt::print("{}\n", json.dump(2));
  else
    print(result, json);
}

}  // namespace

Action bench_verb(CLI::App& app) {
  app.description(
      "Measures how fast a model runs here\n\n"
      "Reading a prompt (prefill) and writing (decode) after contexts of some lengths, on random\n"
      "tokens, each the fastest of some repeats; the GB/s of weights, keys and values that "
      "decoding\n"
      "reads, beside what all threads read from memory when they do nothing else; instructions "
      "and\n"
      "cycles of all threads by the weights that a token meets, where the system counts them; the "
      "time from\n"
      "opening the folder to the first token, its files being in the page cache; and the memory "
      "that\n"
      "no file backs.\n\n"
      "  karat bench out --json > before.json\n"
      "  karat bench out --baseline before.json");
  auto verb = std::make_shared<BenchVerb>();
  app.add_option("model", verb->model, "Folder or GGUF file of the model")->required();
  app.add_option("--prompt", verb->options.prompt, "Tokens of the prefill; 0: none")
      ->capture_default_str();
  app.add_option("--context", verb->options.contexts, "Contexts that decoding follows")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--decode", verb->options.decode, "Tokens to decode after each")
      ->capture_default_str();
  app.add_option("--repeats", verb->options.repeats, "Measurements, of which the fastest counts")
      ->capture_default_str();
  app.add_option("--baseline", verb->baseline, "What --json printed before, to compare with");
  app.add_flag("--json", verb->json, "Print JSON");
  declare(app, verb->runtime, "q8", "f16");
  return [verb] { run(*verb); };
}

}  // namespace karat
