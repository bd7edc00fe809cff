// Where a quantization keeps what it has finished, until the output is complete.
#pragma once

#include <filesystem>
#include <string>

namespace karat {

/// In the work folder once all that is measured before quantizing is there.
inline constexpr const char* kChosenFile = "chosen.safetensors";

/// The folder `<out>.work`. Unless keep() was called, the destructor removes what is ours in it; a
/// killed process leaves it behind, and the next one of the same fingerprint goes on with it.
class Work {
 public:
  /// Throws Error when what has that name is no work folder, or holds anything else.
  static void check(const std::filesystem::path& out);
  /// Throws as check() does, and when another process is at work in it.
  Work(const std::filesystem::path& out, const std::string& fingerprint);
  ~Work();
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void keep() { keep_ = true; }
  bool worth_keeping() const { return std::filesystem::exists(path_ / kChosenFile); }

 private:
  void clear();
  std::filesystem::path path_;
  int lock_ = -1;
  bool keep_ = false;
};

}  // namespace karat
