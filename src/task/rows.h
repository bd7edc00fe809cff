// Data files of tasks: JSON lines, an array of JSON objects, or CSV with a header.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace karat {

struct Row {
  nlohmann::json fields;
  std::int64_t index = 0;  // in the file, from 0, rows that were bad counted
  std::string where;       // "piqa.jsonl:12", for errors
};

/// Is told what is wrong with a row that is then left out; without one, a bad row is an Error.
using SkipFn = std::function<void(const std::string& problem)>;

/// Rows of `path`, at most `limit` (0: all). Blank lines of JSON lines are no rows. Throws Error on
/// a file that is no UTF-8 text.
std::vector<Row> read_rows(const std::filesystem::path& path, std::int64_t limit,
                           const SkipFn& skip);

/// Runs `work`; an Error is handed to `skip`, if there is one, and false returned.
bool unless_bad(const SkipFn& skip, const std::function<void()>& work);

/// A data file and what the '*' of its pattern stood for.
struct DataFile {
  std::filesystem::path path;
  std::string group;
};
/// Files that match `pattern` (its last part may hold one '*') in `data` or in a folder right below
/// it, sorted by group. Throws Error when there is none.
std::vector<DataFile> find_data(const std::filesystem::path& data, const std::string& pattern);

}  // namespace karat
