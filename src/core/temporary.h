// A folder for as long as an object lives.
#pragma once

#include <filesystem>

namespace karat {

/// A new folder of a name of its own, removed with all that it holds.
struct TemporaryFolder {
  /// Throws Error where none can be made in `parent`; empty: the system's folder for such.
  explicit TemporaryFolder(const std::filesystem::path& parent = {});
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path path;
};

}  // namespace karat
