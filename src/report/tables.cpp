// The sections that are tables: portrait, tasks, provenance.
#include <fmt/format.h>

#include <algorithm>

#include "report/html.h"
#include "report/sections.h"

namespace karat::report {
namespace {

using nlohmann::json;

std::string thousands(std::int64_t value) {
  std::string text = std::to_string(value);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, "\u202f");
  return text;
}

std::string percent(std::optional<double> share) {
  return share ? short_number(100 * *share, 3) + " %" : "";
}

Row portrait_row(const ModelFolder& model) {
  Row row{{model.name, "", true}};
  const auto bits = model.bits();
  const json* report = model.quantize;
  const auto& p = model.portrait;
  row.push_back({report ? text(*report, {"recipe", "method"}) : "original", "", true});
  const auto bytes = p ? std::optional<double>(static_cast<double>(p->file_bytes))
                       : number(*report, {"file_bytes"});
  const auto file_bits = p ? std::optional<double>(8 * static_cast<double>(p->file_bytes) /
                                                   static_cast<double>(p->parameters))
                           : number(*report, {"file_bits_per_weight"});
  row.push_back({bytes ? fmt::format("{:.2f}", *bytes * 1e-6) : ""});
  row.push_back({file_bits ? fmt::format("{:.3f}", *file_bits) : ""});
  row.push_back({bits ? fmt::format("{:.3f}", *bits) : ""});
  row.push_back({p && p->layer_weights > 0 && report
                     ? percent(static_cast<double>(p->kept) / static_cast<double>(p->layer_weights))
                     : ""});
  row.push_back({p ? p->family : "", "", true});
  row.push_back({p ? thousands(p->parameters) : ""});
  row.push_back({p ? fmt::format("{} × {}", p->layers, p->hidden) : ""});
  row.push_back({p ? fmt::format("{} / {}", p->heads, p->kv_heads) : ""});
  row.push_back({p ? thousands(p->context) : ""});
  row.push_back({p ? thousands(p->vocab) : ""});
  return row;
}

/// "acc" of "arc_easy", or of a group of it.
struct TaskLine {
  std::string task, metric;
  std::vector<std::pair<std::string, Cell>> cells;  // by column
};

std::string pair_note(const json& report, const std::string& task, const std::string& metric) {
  for (const json* pair : objects(report, {"paired"})) {
    if (text(*pair, {"task"}) != task || text(*pair, {"metric"}) != metric) continue;
    const auto difference = number(*pair, {"difference"});
    if (!difference) return {};
    const double error = number(*pair, {"standard_error"}).value_or(0);
    const auto p = number(*pair, {"mcnemar", "p_value"});
    return fmt::format("{}{}{}", *difference > 0 ? "+" : "", with_error(*difference, error),
                       p ? fmt::format(", McNemar p {:.3g}", *p) : "");
  }
  return {};
}

void add_results(std::vector<TaskLine>& lines, std::vector<std::string>& columns,
                 const std::string& column, const json& report, bool paired) {
  if (std::find(columns.begin(), columns.end(), column) == columns.end()) columns.push_back(column);
  for (const json* result : objects(report, {"results"})) {
    const std::string task = text(*result, {"task"}), group = text(*result, {"group"});
    const json* metrics = look(*result, {"metrics"});
    if (metrics == nullptr || !metrics->is_object()) continue;
    for (const auto& [metric, score] : metrics->items()) {
      const std::string name = group.empty() ? task : task + " / " + group;
      const auto value = number(score, {"value"});
      if (!value) continue;
      auto line = std::find_if(lines.begin(), lines.end(), [&](const TaskLine& l) {
        return l.task == name && l.metric == metric;
      });
      if (line == lines.end()) line = lines.insert(lines.end(), {name, metric, {}});
      line->cells.emplace_back(
          column, Cell{with_error(*value, number(score, {"standard_error"}).value_or(0)),
                       paired && group.empty() ? pair_note(report, task, metric) : ""});
    }
  }
}

std::string tell(const json& object) {
  std::string told;
  if (object.is_object())
    for (const auto& [key, value] : object.items())
      if (!value.is_null() && !value.is_structured())
        told += fmt::format("{}{} {}", told.empty() ? "" : "; ", key,
                            value.is_string() ? value.get<std::string>() : value.dump());
  return told;
}

/// The members of a report that say what it was made from, one line each.
std::vector<Row> origin_rows(const SourceFile& file) {
  std::vector<Row> rows;
  const auto add = [&](const char* what, const std::string& value) {
    if (!value.empty()) rows.push_back({{what, "", true}, {value, "", true}});
  };
  add("model", text(file.json, {"model"}));
  for (const char* key :
       {"recipe", "overrides", "calibration", "text", "against", "logits", "overlap", "machine"})
    if (const json* part = look(file.json, {key}))
      add(key, part->is_string() ? part->get<std::string>() : tell(*part));
  for (const char* key :
       {"text_sha256", "convention", "bos_handling", "data", "karat", "command", "date"})
    add(key, text(file.json, {key}));
  for (const char* key : {"seed", "seeds", "limit", "seconds"})
    if (const auto value = number(file.json, {key})) add(key, fmt::format("{:.6g}", *value));
  return rows;
}

}  // namespace

std::string portrait_section(const ReportData& data) {
  std::vector<Row> rows = {{{"folder", "", true},
                            {"method", "", true},
                            {"file MB"},
                            {"bits/param"},
                            {"layer bits"},
                            {"kept"},
                            {"family", "", true},
                            {"parameters"},
                            {"layers × width"},
                            {"heads / KV"},
                            {"context"},
                            {"vocabulary"}}};
  for (const ModelFolder& model : data.models) rows.push_back(portrait_row(model));
  if (rows.size() == 1) return {};
  return section("Models",
                 "File: all weight files; bits per parameter are its. Layer bits are those of a "
                 "weight of the linear layers, counted from what is stored, statistics and kept "
                 "weights included.",
                 table(rows));
}

std::string tasks_section(const ReportData& data) {
  std::vector<TaskLine> lines;
  std::vector<std::string> columns;
  for (const SourceFile* file : data.of_kind(SourceFile::Kind::tasks)) {
    add_results(lines, columns, model_name(data, file->json, {"model"}), file->json, true);
    if (const json* against = look(file->json, {"against"}))
      add_results(lines, columns, model_name(data, file->json, {"against", "model"}), *against,
                  false);
  }
  if (lines.empty()) return {};
  std::vector<Row> rows = {{{"task", "", true}, {"metric", "", true}}};
  for (const std::string& column : columns) rows.front().push_back({column});
  for (const TaskLine& line : lines) {
    Row row{{line.task, "", true}, {line.metric, "", true}};
    for (const std::string& column : columns) {
      const auto cell = std::find_if(line.cells.begin(), line.cells.end(),
                                     [&](const auto& entry) { return entry.first == column; });
      row.push_back(cell == line.cells.end() ? Cell{} : cell->second);
    }
    rows.push_back(std::move(row));
  }
  return section("Tasks",
                 "± one standard error over items. The small line is the difference from the "
                 "original on the same items, with its own standard error.",
                 table(rows));
}

std::string provenance_section(const ReportData& data) {
  std::string html;
  for (const auto& file : data.files) {
    std::vector<Row> rows = {{{"of", "", true}, {"value", "", true}}};
    for (Row& row : origin_rows(*file)) rows.push_back(std::move(row));
    html += fmt::format(
        "<details><summary>{}: {}</summary>\n<p><code>sha256 {}</code></p>\n{}</details>\n",
        kind_name(file->kind), escape(file->path), escape(file->sha256), table(rows));
  }
  return section("Provenance",
                 "The files this page was made of, and what they say of their making.", html);
}

}  // namespace karat::report
