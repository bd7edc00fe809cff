// Where a quantization keeps what it has finished, until the output is complete.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace karat {

/// In the work folder once all that is measured before quantizing is there.
inline constexpr const char* kMeasuredFile = "measured.safetensors";

/// One of the things that the bytes of a result depend on.
struct WorkPart {
  std::string name;     // "recipe"
  std::string summary;  // for people; empty: nothing to tell
  std::string hash;     // what tells it from others
  bool late = false;    // makes a difference only once something is quantized
};
/// Which work it is. Two pieces of work are the same when all parts have the same hashes.
using WorkIdentity = std::vector<WorkPart>;

/// The folder `<out>.work`. Unless keep() was called, the destructor removes what is ours in it; a
/// killed process leaves it behind, and the next one of the same identity goes on with it.
class Work {
 public:
  /// Throws Error when what has that name is no work folder, or holds anything else; and, unless
  /// `discard`, when it holds other work: a part of `known`, all or the first parts of an identity,
  /// has another hash there.
  static void check(const std::filesystem::path& out, const WorkIdentity& known, bool discard);
  /// Throws as check() does, and when another process is at work in it. Other work is removed.
  Work(const std::filesystem::path& out, const WorkIdentity& identity, bool discard = false);
  ~Work();
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void keep() { keep_ = true; }
  bool worth_keeping() const { return std::filesystem::exists(path_ / kMeasuredFile); }

 private:
  void clear();
  void leave();
  std::filesystem::path path_;
  int lock_ = -1;
  bool keep_ = false;
};

}  // namespace karat
