// Notices that mapped files are written to or cut while a model runs from them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace karat {

class FileWatch {
 public:
  FileWatch() = default;
  /// Remembers the files that hold the weights of a folder.
  explicit FileWatch(const std::filesystem::path& folder);
  /// Throws Error naming a file that is no longer what it was. One that was removed, or replaced by
  /// another of its name, is still mapped as it was.
  void check() const;

 private:
  struct Stamp {
    std::uint64_t device = 0, number = 0;
    std::int64_t bytes = 0, seconds = 0, nanoseconds = 0;
    bool operator==(const Stamp&) const = default;
  };
  struct File {
    std::filesystem::path path;
    Stamp stamp;
  };
  static bool read(const std::filesystem::path& path, Stamp& stamp);
  std::vector<File> files_;
};

}  // namespace karat
