#include "task/rows.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "core/file.h"
#include "core/lines.h"
#include "karat/error.h"
#include "load/json.h"
#include "load/text_kind.h"
#include "load/text_records.h"

namespace karat {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string place(const fs::path& path, std::int64_t line) {
  return path.string() + ":" + std::to_string(line);
}

/// One record of a CSV file as RFC 4180 has it: fields may be quoted, and then hold anything.
class CsvReader {
 public:
  CsvReader(std::string_view text, const fs::path& path) : text_(text), path_(path) {}
  bool at_end() const { return at_ >= text_.size(); }
  std::int64_t line() const { return line_; }

  std::vector<std::string> record() {
    std::vector<std::string> fields(1);
    while (!at_end()) {
      const char c = next();
      if (c == '\n') break;
      if (c == ',')
        fields.emplace_back();
      else if (c == '"' && fields.back().empty())
        quoted(fields.back());
      else if (c != '\r')
        fields.back() += c;
    }
    return fields;
  }

 private:
  char next() {
    line_ += text_[at_] == '\n';
    return text_[at_++];
  }
  void quoted(std::string& field) {
    const std::int64_t opened = line_;
    while (true) {
      if (at_end()) fail(place(path_, opened), "a quoted field without end", "a closing \"");
      const char c = next();
      if (c != '"') {
        field += c;
      } else if (!at_end() && text_[at_] == '"') {
        field += next();
      } else {
        return;
      }
    }
  }
  std::string_view text_;
  const fs::path& path_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
};

bool wanted(std::int64_t rows, std::int64_t limit) {
  return limit == 0 || rows < limit;
}

std::vector<Row> read_csv(const fs::path& path, std::string_view text, std::int64_t limit,
                          const SkipFn& skip) {
  CsvReader reader(text, path);
  const std::vector<std::string> names = reader.record();
  std::vector<Row> rows;
  for (std::int64_t index = 0; !reader.at_end() && wanted(index, limit); ++index)
    unless_bad(skip, [&] {
      const std::string where = place(path, reader.line());
      const std::vector<std::string> values = reader.record();
      if (values.size() != names.size())
        fail(where, std::to_string(values.size()) + " fields",
             std::to_string(names.size()) + " as in the header");
      json fields = json::object();
      for (std::size_t i = 0; i < names.size(); ++i) fields[names[i]] = values[i];
      rows.push_back({std::move(fields), index, where});
    });
  return rows;
}

std::vector<Row> read_json_lines(const fs::path& path, std::string_view text, std::int64_t limit,
                                 const SkipFn& skip) {
  std::vector<Row> rows;
  Lines lines(text);
  for (std::int64_t index = 0; wanted(index, limit) && lines.next(); ++index)
    unless_bad(skip, [&] {
      const std::string where = place(path, lines.number());
      json fields = parse_json(lines.line(), where);
      if (!fields.is_object()) fail(where, fields.type_name(), "an object on each line");
      rows.push_back({std::move(fields), index, where});
    });
  return rows;
}

std::vector<Row> read_json_array(const fs::path& path, std::string_view text, std::int64_t limit,
                                 const SkipFn& skip) {
  std::vector<Row> rows;
  JsonRecords records(text, path.string());
  for (std::int64_t index = 0; wanted(index, limit) && records.next(); ++index)
    unless_bad(skip, [&] {
      const std::string where = place(path, records.line());
      json fields = parse_json(records.record(), where);
      if (!fields.is_object()) fail(where, fields.type_name(), "an object as each element");
      rows.push_back({std::move(fields), index, where});
    });
  return rows;
}

/// What '*' stands for when `name` matches; nothing when it does not.
std::optional<std::string> matched(const std::string& name, const std::string& pattern) {
  const std::size_t star = pattern.find('*');
  if (star == pattern.npos) return name == pattern ? std::optional(std::string()) : std::nullopt;
  const std::string before = pattern.substr(0, star), after = pattern.substr(star + 1);
  if (name.size() < pattern.size() || !name.starts_with(before) || !name.ends_with(after))
    return std::nullopt;
  return name.substr(before.size(), name.size() - before.size() - after.size());
}

std::vector<DataFile> matches_in(const fs::path& folder, const fs::path& pattern) {
  std::vector<DataFile> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder / pattern.parent_path(), ignored))
    if (const auto group = matched(entry.path().filename().string(), pattern.filename().string()))
      found.push_back({entry.path(), *group});
  std::sort(found.begin(), found.end(),
            [](const DataFile& a, const DataFile& b) { return a.group < b.group; });
  return found;
}

}  // namespace

bool unless_bad(const SkipFn& skip, const std::function<void()>& work) {
  try {
    work();
    return true;
  } catch (const Error& error) {
    if (!skip) throw;
    skip(error.what());
    return false;
  }
}

std::vector<Row> read_rows(const fs::path& path, std::int64_t limit, const SkipFn& skip) {
  const auto file = open_utf8(path);
  const std::string_view text = without_mark(file->text());
  const bool is_array = trimmed(text).starts_with('[');
  const bool is_csv = path.extension() == ".csv" && records_in(text) == Records::none;
  std::vector<Row> rows = is_array ? read_json_array(path, text, limit, skip)
                          : is_csv ? read_csv(path, text, limit, skip)
                                   : read_json_lines(path, text, limit, skip);
  file->check();
  return rows;
}

std::vector<DataFile> find_data(const fs::path& data, const std::string& pattern) {
  if (!fs::is_directory(data)) fail("data folder", data.string(), "a folder");
  std::vector<DataFile> found = matches_in(data, pattern);
  std::vector<fs::path> below;
  for (const auto& entry : fs::directory_iterator(data))
    if (entry.is_directory()) below.push_back(entry.path());
  std::sort(below.begin(), below.end());
  for (const fs::path& folder : below)
    if (found.empty()) found = matches_in(folder, pattern);
  if (found.empty())
    fail("data folder " + data.string(), "no " + pattern, "the task's data in it or right below",
         "docs/tasks.md names the file of each task");
  return found;
}

}  // namespace karat
