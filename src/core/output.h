// Where a verb writes: files and folders that appear whole or not at all, and never in the place of
// anything but a former output of Karat.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace karat {

/// A path that the user named for a verb to write.
struct Output {
  std::filesystem::path path = {};
  bool replace = false;  // a former output there may be replaced
  /// What the work reads: none of it, and no folder that holds any of it, is ever replaced.
  std::vector<std::filesystem::path> inputs = {};
  /// What keeps a path from being a former output, "no karat_report.json in it"; an empty text: it
  /// is one. Empty: nothing is ever replaced.
  std::function<std::string(const std::filesystem::path&)> not_former = {};
};

enum class OutputKind { file, folder };

/// Throws Error unless the output can be written: its parent is there and can be written to; what
/// has its name is a former output, and `replace` is true. What is empty counts as a former output.
/// A link, a mount point, the current folder and those above it are never replaced.
void check_output(const Output& output, OutputKind kind);

/// A file under a temporary name beside its target, created at once. Unless commit() is called, the
/// destructor removes it, so a failure leaves nothing behind.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path target);  // of a folder of ours: replaced if there
  explicit AtomicFile(const Output& output);          // throws as check_output() does
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::filesystem::path& path() const { return temporary_; }  // write here
  /// Renames what write_file() flushed to disk. Throws as check_output() does.
  void commit();

 private:
  Output output_;
  bool ours_ = false;
  std::filesystem::path target_, temporary_;
};

/// All of a file at once.
void write_output(const Output& output, std::string_view text);

/// The same for a folder.
class OutputFolder {
 public:
  explicit OutputFolder(const Output& output);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  const std::filesystem::path& path() const { return temporary_; }  // write files here
  /// Flushes, then renames; a former output steps aside first and is then removed.
  void commit();

 private:
  Output output_;
  std::filesystem::path target_, temporary_;
  bool committed_ = false;
};

/// The files below `folder` and the links and empty folders, relative to it, sorted.
std::vector<std::string> names_below(const std::filesystem::path& folder);

/// The first of these that is no plain file, or that `ours` does not know; empty: there is none.
std::string stranger_in(const std::filesystem::path& folder,
                        const std::function<bool(const std::string& name)>& ours);

/// `path` without a slash at its end.
std::filesystem::path without_slash(std::filesystem::path path);

}  // namespace karat
