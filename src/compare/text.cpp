// A CompareReport as a table for a terminal and as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "compare/views.h"
#include "evaluate/views.h"
#include "pipeline/report.h"

namespace karat {
namespace {

using nlohmann::ordered_json;

double perplexity_in(const CompareRun& run) {
  return run.evaluation.perplexity.value;
}
double kl_in(const CompareRun& run) {
  return run.evaluation.divergence ? run.evaluation.divergence->mean : 0;
}

/// "24.31 ± 0.42, sd 0.03"
std::string with_errors(const Spread& spread, double error, int digits) {
  std::string text = fmt::format("{:.{}f} ± {:.{}f}", spread.mean, digits, error, digits);
  if (spread.deviation) text += fmt::format(", sd {:.{}f}", *spread.deviation, digits);
  return text;
}

/// Characters, not bytes: those that begin a UTF-8 sequence.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string align(const std::vector<std::vector<std::string>>& cells) {
  std::vector<std::size_t> widths(cells.front().size());
  for (const auto& row : cells)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  std::string text;
  for (const auto& row : cells) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string gap(widths[i] - width_of(row[i]), ' ');
      line += (i > 0 ? "  " : "") + (is_text_column(i) ? row[i] + gap : gap + row[i]);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

ordered_json spread_json(const Spread& spread, double error) {
  ordered_json json = {{"mean", spread.mean}, {"standard_error", error}};
  json["deviation"] = spread.deviation ? ordered_json(*spread.deviation) : ordered_json();
  return json;
}

template <class T>
ordered_json maybe(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json();
}
ordered_json maybe(const std::string& text) {
  return text.empty() ? ordered_json() : ordered_json(text);
}

ordered_json run_json(const CompareRun& run) {
  ordered_json json = {{"seed", maybe(run.seed)},
                       {"file_bytes", run.file_bytes},
                       {"file_bits_per_weight", run.file_bits},
                       {"bits_per_weight", run.bits},
                       {"perplexity", run.evaluation.perplexity.value},
                       {"standard_error", run.evaluation.perplexity.standard_error}};
  if (const auto& kl = run.evaluation.divergence) add_divergence(json, *kl);
  json["seconds"] = run.seconds;
  json["peak_bytes"] = maybe(run.peak_bytes);
  return json;
}

ordered_json row_recipe_json(const CompareRow& row) {
  ordered_json json = recipe_json(row.recipe);
  json["samples"] = maybe(row.samples);
  json["length"] = maybe(row.length);
  return json;
}

ordered_json row_json(const CompareRow& row) {
  const bool original = row.kind == CompareRow::Kind::original;
  ordered_json json = {{"name", row.name}};
  json["kind"] = original                                ? "original"
                 : row.kind == CompareRow::Kind::uniform ? "uniform"
                                                         : "method";
  json["recipe"] = original ? ordered_json() : row_recipe_json(row);
  json["bits"] = original ? ordered_json() : ordered_json(row.code_bits);
  json["file_bytes"] = row.file_bytes();
  json["file_bits_per_weight"] = row.file_bits();
  json["bits_per_weight"] = row.bits().mean;
  json["predicted_bits"] = original ? ordered_json() : ordered_json(row.predicted_bits);
  json["perplexity"] = spread_json(row.perplexity(), row.perplexity_error());
  json["kl"] = original ? ordered_json() : spread_json(row.kl(), row.kl_error());
  json["uniform"] = maybe(row.uniform);
  json["vs_uniform"] = maybe(row.vs_uniform);
  json["seconds"] = original ? ordered_json() : ordered_json(row.seconds().mean);
  json["peak_bytes"] = maybe(row.peak());
  json["note"] = maybe(row.note);
  json["runs"] = ordered_json::array();
  for (const CompareRun& run : row.runs) json["runs"].push_back(run_json(run));
  return json;
}

std::vector<std::string> cells_of(const CompareRow& row) {
  const bool original = row.kind == CompareRow::Kind::original;
  const auto peak = row.peak();
  return {row.name,
          fmt::format("{:.3f}", static_cast<double>(row.file_bytes()) * 1e-6),
          fmt::format("{:.3f}", row.file_bits()),
          fmt::format("{:.3f}", row.bits().mean),
          with_errors(row.perplexity(), row.perplexity_error(), 3),
          original ? "" : with_errors(row.kl(), row.kl_error(), 5),
          row.vs_uniform ? fmt::format("{:.2f}", *row.vs_uniform) : "",
          row.uniform,
          original ? "" : fmt::format("{:.1f}", row.seconds().mean),
          peak ? fmt::format("{:.0f}", static_cast<double>(*peak) / (1 << 20)) : "",
          row.note};
}

}  // namespace

Spread CompareRow::over_seeds(const std::function<double(const CompareRun&)>& value) const {
  Spread spread;
  const auto count = static_cast<double>(runs.size());
  for (const CompareRun& run : runs) spread.mean += value(run) / count;
  if (runs.size() < 2) return spread;
  double squares = 0;
  for (const CompareRun& run : runs) squares += std::pow(value(run) - spread.mean, 2);
  spread.deviation = std::sqrt(squares / (count - 1));
  return spread;
}
std::int64_t CompareRow::file_bytes() const {
  return std::llround(
      over_seeds([](const CompareRun& run) { return static_cast<double>(run.file_bytes); }).mean);
}
double CompareRow::file_bits() const {
  return over_seeds([](const CompareRun& run) { return run.file_bits; }).mean;
}
Spread CompareRow::bits() const {
  return over_seeds([](const CompareRun& run) { return run.bits; });
}
Spread CompareRow::perplexity() const {
  return over_seeds(perplexity_in);
}
Spread CompareRow::kl() const {
  return over_seeds(kl_in);
}
Spread CompareRow::seconds() const {
  return over_seeds([](const CompareRun& run) { return run.seconds; });
}
double CompareRow::perplexity_error() const {
  const auto error = [](const CompareRun& run) { return run.evaluation.perplexity.standard_error; };
  return over_seeds(error).mean;
}
double CompareRow::kl_error() const {
  const auto error = [](const CompareRun& run) {
    return run.evaluation.divergence ? run.evaluation.divergence->standard_error : 0;
  };
  return over_seeds(error).mean;
}
std::optional<std::int64_t> CompareRow::peak() const {
  std::optional<std::int64_t> most;
  for (const CompareRun& run : runs)
    if (run.peak_bytes) most = std::max(most.value_or(0), *run.peak_bytes);
  return most;
}

std::vector<std::vector<std::string>> compare_cells(const CompareReport& report) {
  std::vector<std::vector<std::string>> cells = {
      {"method", "file MB", "bits/param", "layer bits", "perplexity", "KL", "vs uniform",
       "uniform of its size", "seconds", "peak MiB", "note"}};
  for (const CompareRow& row : report.rows) cells.push_back(cells_of(row));
  const bool notes = std::any_of(report.rows.begin(), report.rows.end(),
                                 [](const CompareRow& row) { return !row.note.empty(); });
  if (!notes)
    for (auto& row : cells) row.pop_back();
  return cells;
}

std::vector<std::string> compare_facts(const CompareReport& report) {
  std::vector<std::string> facts = {fmt::format(
      "{} on {}: {} tokens scored in {} windows, convention {}, {} BOS", report.model, report.text,
      report.tokens, report.windows, report.convention, report.bos ? "with" : "without")};
  if (!report.calibration.empty())
    facts.push_back(report.seeds == 1
                        ? fmt::format("calibrated on {}, seed 1", report.calibration)
                        : fmt::format("calibrated on {}, mean of seeds 1 to {} where a method "
                                      "reads it",
                                      report.calibration, report.seeds));
  if (report.target_bits)
    facts.push_back(
        fmt::format("groups chosen for at most {:.3f} bits per weight", *report.target_bits));
  facts.push_back(fmt::format("{}, {} cores, {} threads, {}; {}", report.cpu, report.cores,
                              report.threads, report.isa, report.date));
  return facts;
}

std::vector<std::string> compare_legend(const CompareReport& report) {
  std::vector<std::string> legend = {
      "file MB, bits/param: of all weight files, over all parameters; layer bits: a weight of the "
      "linear layers, statistics and kept weights included",
      "±: standard error over tokens, taken as independent; KL: from the original, nats per token",
      "vs uniform: KL over that of plain rounding to codes as wide, in groups that make it as "
      "large or just smaller; below 1 is better"};
  if (report.seeds > 1) legend.push_back("sd: standard deviation over calibration seeds");
  return legend;
}

std::string to_table(const CompareReport& report) {
  std::string text;
  for (const std::string& fact : compare_facts(report)) text += fact + "\n";
  text += "\n" + align(compare_cells(report)) + "\n";
  for (const std::string& line : compare_legend(report)) text += line + "\n";
  return text;
}

std::string to_json(const CompareReport& report) {
  ordered_json json = {{"model", report.model},
                       {"text", {{"file", report.text}, {"sha256", report.text_sha256}}},
                       {"convention", report.convention},
                       {"windows", report.windows},
                       {"tokens", report.tokens},
                       {"bos", report.bos},
                       {"seeds", report.seeds}};
  json["calibration"] = nullptr;
  if (!report.calibration.empty())
    json["calibration"] = {{"file", report.calibration}, {"sha256", report.calibration_sha256}};
  json["target_bits"] = maybe(report.target_bits);
  json["machine"] = {{"cpu", report.cpu},
                     {"isa", report.isa},
                     {"cores", report.cores},
                     {"threads", report.threads}};
  json["date"] = report.date;
  if (!report.warnings.empty()) json["warnings"] = report.warnings;
  json["rows"] = ordered_json::array();
  for (const CompareRow& row : report.rows) json["rows"].push_back(row_json(row));
  return json.dump(2) + "\n";
}

}  // namespace karat
