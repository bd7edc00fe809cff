// Files: mapped for reading, and written so that they are on the disk.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace karat {

/// A whole file, mapped read-only. An empty file has an empty span.
class MappedFile {
 public:
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// The bytes of a file of at most `limit` bytes. Throws Error when it is absent or larger.
std::string read_text(const std::filesystem::path& path, std::size_t limit = 1u << 30);

/// Writes all pieces one after the other and flushes them to disk; removes the file and throws
/// Error when any of it fails.
void write_file(const std::filesystem::path& path,
                std::span<const std::span<const std::byte>> pieces);
void write_file(const std::filesystem::path& path, std::string_view text);

/// Throws Error unless what was written to a file, or renamed in a folder, is on the disk.
void flush_to_disk(const std::filesystem::path& path);

}  // namespace karat
