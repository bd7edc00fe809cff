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

#include "core/output.h"
#include "task/metrics.h"

namespace karat {

/// What keeps a file from being one of items; empty: it is.
std::string not_items(const std::filesystem::path& file);

class Journal {
 public:
  /// Throws Error unless the output can be written or holds items, of whatever work.
  static void check(const Output& output);
  /// Begins the file with `header`, which says which work it is, or reads what is there of the same
  /// work. A last line that was not finished is cut off. Throws Error when the items there are of
  /// other work and `output.replace` is not set, and as check() does. An empty path keeps items in
  /// memory alone.
  Journal(const Output& output, const nlohmann::ordered_json& header);

  /// nullptr: not done yet. `model`: 0 or, of the one compared with, 1.
  const ItemResult* find(int model, const std::string& task, const std::string& group,
                         std::int64_t row) const;
  void add(int model, ItemResult item);
  std::int64_t resumed() const { return resumed_; }

 private:
  void read(std::string_view text);
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
