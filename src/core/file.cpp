#include "core/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "core/platform.h"
#include "karat/error.h"

namespace karat {
namespace fs = std::filesystem;
namespace {

/// A file descriptor that closes itself.
struct Descriptor {
  int fd = -1;
  ~Descriptor() { close(); }
  int close() {
    const int result = fd < 0 ? 0 : ::close(fd);
    fd = -1;
    return result;
  }
};

std::string reason() {
  return std::strerror(errno);
}

FileStamp stamp_of(const struct stat& info) {
  return {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

void write_all(int fd, const fs::path& path, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0)
      fail("write", fmt::format("{} ({})", path.string(), reason()), "room for the whole file",
           write_hint(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

/// In writes of 8 MiB, from a multiple of it: what comes in one write, the system's cache of files
/// can hold in one large page, which is faster to read once it is mapped.
void write_together(int fd, const fs::path& path,
                    std::span<const std::span<const std::byte>> pieces) {
  constexpr std::size_t kTogether = 8 << 20;
  std::vector<std::byte> waiting;
  waiting.reserve(kTogether);
  for (std::span<const std::byte> piece : pieces)
    while (!piece.empty()) {
      const auto next = piece.first(std::min(piece.size(), kTogether - waiting.size()));
      waiting.insert(waiting.end(), next.begin(), next.end());
      piece = piece.subspan(next.size());
      if (waiting.size() < kTogether) continue;
      write_all(fd, path, waiting);
      waiting.clear();
    }
  write_all(fd, path, waiting);
}

}  // namespace

std::string_view write_hint(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "free disk space or choose another folder";
    case EACCES:
    case EPERM:
    case EROFS:
      return "choose a folder that you may write to";
    case ENAMETOOLONG:
      return "choose a shorter name";
    default:
      return "choose another folder";
  }
}

std::shared_ptr<const MappedFile> MappedFile::open(const fs::path& path) {
  std::shared_ptr<MappedFile> mapped(new MappedFile);
  mapped->path_ = path;
  mapped->descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info {};
  if (mapped->descriptor_ < 0 || ::fstat(mapped->descriptor_, &info) != 0)
    fail("open", fmt::format("{} ({})", path.string(), reason()), "a readable file");
  if (!S_ISREG(info.st_mode)) fail("open", path.string() + ", not a file", "a readable file");
  mapped->stamp_ = stamp_of(info);
  mapped->size_ = static_cast<std::size_t>(info.st_size);
  if (mapped->size_ == 0) return mapped;
  void* data = ::mmap(nullptr, mapped->size_, PROT_READ, MAP_SHARED, mapped->descriptor_, 0);
  if (data == MAP_FAILED)
    fail("map", fmt::format("{} ({})", path.string(), reason()), "a mappable file");
  want_huge_pages(data, mapped->size_);
  mapped->data_ = static_cast<const std::byte*>(data);
  mapped->guard_.emplace(data, mapped->size_);
  return mapped;
}

MappedFile::~MappedFile() {
  guard_.reset();
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

void MappedFile::check() const {
  const std::string file = "file " + path_.string();
  constexpr const char* kInstead = "write files beside it and rename them";
  struct stat info {};
  if (::fstat(descriptor_, &info) != 0) fail(file, reason(), "the file as it was opened");
  const FileStamp now = stamp_of(info);
  if (now.bytes < stamp_.bytes)
    fail(file, fmt::format("{} bytes", now.bytes),
         fmt::format("the {} that it had when it was opened", stamp_.bytes),
         fmt::format("something cut it while it was read; {}", kInstead));
  if (now != stamp_)
    fail(file, "a change", "the file as it was opened",
         fmt::format("something wrote to it while it was read; {}", kInstead));
  if (guard_ && guard_->lost())
    fail(file, "pages that could not be read", "the file as it was opened",
         "something cut it while it was read, or the disk failed");
}

std::string read_text(const fs::path& path, std::size_t limit) {
  const auto file = MappedFile::open(path);
  if (file->bytes().size() > limit)
    fail("read " + path.string(), fmt::format("{} bytes", file->bytes().size()),
         fmt::format("at most {}", limit));
  std::string text(file->text());
  file->check();
  return text;
}

std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code gone;
  for (fs::directory_iterator at(folder, gone), end; !gone && at != end; at.increment(gone))
    entries.push_back(*at);
  return entries;
}

void flush_to_disk(const fs::path& path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0 || ::fsync(file.fd) != 0)
    fail("flush", fmt::format("{} ({})", path.string(), reason()), "a file on disk");
}

void write_file(const fs::path& path, std::span<const std::span<const std::byte>> pieces) {
  Descriptor file{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
  if (file.fd < 0)
    fail("write", fmt::format("{} ({})", path.string(), reason()), "a writable path",
         write_hint(errno));
  try {
    write_together(file.fd, path, pieces);
    if (::fsync(file.fd) != 0 || file.close() != 0)
      fail("write", fmt::format("{} ({})", path.string(), reason()), "room for the whole file",
           write_hint(errno));
  } catch (...) {
    std::error_code ignored;
    fs::remove(path, ignored);
    throw;
  }
}

void write_file(const fs::path& path, std::string_view text) {
  const std::span<const std::byte> piece = std::as_bytes(std::span(text.data(), text.size()));
  write_file(path, {&piece, 1});
}

}  // namespace karat
