// What each item gave, kept in a file of JSON lines while the work goes on, so that interrupted
// work goes on from there.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "task/metrics.h"

namespace karat {

class Journal {
 public:
  /// Begins `path` with `header`, which says which work it is, or reads what is there. A last line
  /// that was not finished is cut off. Throws Error when the file is of other work. An empty path
  /// keeps items in memory alone.
  Journal(const std::filesystem::path& path, const nlohmann::ordered_json& header);

  /// nullptr: not done yet. `model`: 0 or, of the one compared with, 1.
  const ItemResult* find(int model, const std::string& task, const std::string& group,
                         std::int64_t row) const;
  void add(int model, ItemResult item);
  std::int64_t resumed() const { return resumed_; }

 private:
  void read(std::string_view text, const nlohmann::ordered_json& header);
  static std::string key(int model, const std::string& task, const std::string& group,
                         std::int64_t row);
  std::filesystem::path path_;
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
  std::map<std::string, ItemResult> items_;
  std::int64_t resumed_ = 0;
};

}  // namespace karat
