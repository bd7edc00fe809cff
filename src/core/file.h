// Files: mapped for reading, and written so that they are on the disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/page_guard.h"

namespace karat {

/// The size of a file, and when it was last written to.
struct FileStamp {
  std::int64_t bytes = 0, seconds = 0, nanoseconds = 0;
  bool operator==(const FileStamp&) const = default;
};

/// A whole file, mapped read-only. An empty file has an empty span.
class MappedFile {
 public:
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  /// Throws Error naming the file when it was written to or cut since it was opened; of pages that
  /// were gone, zeros were read (core/page_guard.h). To be called after reading, before what was
  /// made of it is used. A file that was removed, or replaced by another of its name, is still
  /// mapped as it was.
  void check() const;

 private:
  MappedFile() = default;
  std::filesystem::path path_;
  int descriptor_ = -1;
  FileStamp stamp_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::optional<PageGuard> guard_;
};

/// The bytes of a file of at most `limit` bytes. Throws Error when it is absent or larger.
std::string read_text(const std::filesystem::path& path, std::size_t limit = 1u << 30);

/// Writes all pieces one after the other and flushes them to disk; removes the file and throws
/// Error when any of it fails.
void write_file(const std::filesystem::path& path,
                std::span<const std::span<const std::byte>> pieces);
void write_file(const std::filesystem::path& path, std::string_view text);

/// What helps where writing failed with `error`, an errno.
std::string_view write_hint(int error);

/// What lies in a folder, in no order; nothing where it cannot be read. Another process may be
/// removing it.
std::vector<std::filesystem::directory_entry> entries_of(const std::filesystem::path& folder);

/// Throws Error unless what was written to a file, or renamed in a folder, is on the disk.
void flush_to_disk(const std::filesystem::path& path);

}  // namespace karat
