#include "core/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/file.h"
#include "karat/error.h"

namespace karat {
namespace fs = std::filesystem;
namespace {

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Whether `inner` is `outer` or lies in it. Both are canonical.
bool holds(const fs::path& outer, const fs::path& inner) {
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

/// "\040" as the kernel writes a blank.
std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    const char* begin = text.data() + i + 1;
    const bool escape = text[i] == '\\' && i + 3 < text.size() &&
                        std::from_chars(begin, begin + 3, code, 8).ptr == begin + 3;
    plain += escape ? static_cast<char>(code) : text[i];
    if (escape) i += 3;
  }
  return plain;
}

bool is_mount_point(const fs::path& canonical) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string word;
    for (int i = 0; i < 5; ++i) words >> word;  // the fifth is where it is mounted
    if (fs::path(unescaped(word)) == canonical) return true;
  }
  return false;
}

[[noreturn]] void refuse(const Output& output, const std::string& got, const std::string& expected,
                         const std::string& hint = "choose another name") {
  fail("write " + output.path.string(), got, expected, hint);
}

void check_name(const Output& output, const fs::path& target) {
  if (output.path.empty()) fail("write", "an empty name", "the name of what to write");
  const std::string name = target.filename().string();
  if (name.empty() || name == "." || name == "..")
    refuse(output, "a folder that is in use", "a name of its own");
  const fs::path parent = parent_of(target);
  std::error_code error, ignored;
  const bool there = fs::exists(parent, error);
  if (error)
    refuse(output, error.message(), "a folder to write in", std::string(write_hint(error.value())));
  if (!there)
    refuse(output, "no folder " + parent.string(), "a folder to write in",
           "make it with mkdir -p " + parent.string());
  if (!fs::is_directory(parent, ignored))
    refuse(output, parent.string() + ", which is no folder", "a folder to write in");
}

/// What may not go, whatever the user says.
void check_in_use(const Output& output, const fs::path& target) {
  std::error_code error;
  const fs::path whole = fs::canonical(target, error);
  if (error) refuse(output, error.message(), "a path that can be read");
  if (holds(whole, fs::current_path()))
    refuse(output, "the current folder or one that it lies in", "a name of its own");
  for (const fs::path& input : output.inputs) {
    if (input.empty()) continue;
    if (holds(whole, fs::weakly_canonical(input, error)) || fs::equivalent(target, input, error))
      refuse(output, fmt::format("{} or a folder that it lies in, which is read", input.string()),
             "another place");
  }
  if (is_mount_point(whole)) refuse(output, "a mount point", "a name of its own");
}

void check_former(const Output& output, const fs::path& target, OutputKind kind) {
  std::error_code error;
  const bool folder = fs::is_directory(target, error);
  const bool file = fs::is_regular_file(target, error);
  if (kind == OutputKind::folder ? !folder : !file)
    refuse(output,
           folder ? "a folder"
           : file ? "a file"
                  : "neither a file nor a folder",
           kind == OutputKind::folder ? "a new name for a folder" : "a new name for a file");
  const bool empty = fs::is_empty(target, error) && !error;
  std::string reason = "nothing says that Karat wrote it";
  if (empty)
    reason.clear();
  else if (output.not_former)
    reason = output.not_former(target);
  if (!reason.empty())
    refuse(output, fmt::format("a path that exists ({})", reason), "a new one",
           "choose another name: --force replaces only what this verb wrote");
  if (!output.replace)
    refuse(output, "a path that exists", "a new one", "pass --force to replace it");
}

void check_what_is_there(const Output& output, const fs::path& target, OutputKind kind) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(target, error);
  if (fs::is_symlink(status))
    refuse(output, "a link", "a name of its own", "name what it points to, or remove it");
  if (!fs::exists(status)) return;
  check_in_use(output, target);
  check_former(output, target, kind);
}

/// A new file or folder beside `target`.
fs::path make_temporary(const fs::path& target, OutputKind kind) {
  static std::atomic<int> count = 0;
  for (int tries = 0; tries < 1000; ++tries) {
    fs::path path = target;
    path += fmt::format(".partial-{}-{}", ::getpid(), count++);
    if (kind == OutputKind::folder) {
      if (::mkdir(path.c_str(), 0777) == 0) return path;
    } else if (const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
               fd >= 0) {
      ::close(fd);
      return path;
    }
    if (errno != EEXIST) break;
  }
  fail("write " + target.string(), std::strerror(errno), "a folder that can be written to",
       write_hint(errno));
}

void rename_to(const fs::path& from, const fs::path& to, const std::string& hint = "") {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) fail("write " + to.string(), error.message(), "a path that can be written", hint);
}

/// Puts `fresh` in the place of the folder `target`; returns where that one is now. It steps aside
/// first: a crash between the two renames loses neither.
fs::path exchange(const fs::path& fresh, const fs::path& target) {
  const fs::path old = make_temporary(target, OutputKind::folder);
  std::error_code error;
  fs::rename(target, old, error);  // an empty folder of that name gives way
  if (error) {
    std::error_code ignored;
    fs::remove(old, ignored);
    fail("write " + target.string(), error.message(), "a path that can be written");
  }
  try {
    rename_to(fresh, target);
  } catch (const Error&) {
    rename_to(old, target, "what was there is now " + old.string());
    throw;
  }
  return old;
}

}  // namespace

fs::path without_slash(fs::path path) {
  return path.has_filename() || !path.has_relative_path() ? path : path.parent_path();
}

std::vector<std::string> names_below(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_symlink() || !entry.is_directory() || fs::is_empty(entry.path()))
      names.push_back(entry.path().lexically_relative(folder).string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string stranger_in(const fs::path& folder,
                        const std::function<bool(const std::string& name)>& ours) {
  for (const std::string& name : names_below(folder))
    if (!fs::is_regular_file(fs::symlink_status(folder / name)) || !ours(name)) return name;
  return {};
}

void check_output(const Output& output, OutputKind kind) {
  const fs::path target = without_slash(output.path);
  check_name(output, target);
  check_what_is_there(output, target, kind);
  std::error_code ignored;
  fs::remove(make_temporary(target, kind), ignored);
}

AtomicFile::AtomicFile(fs::path target)
    : ours_(true),
      target_(std::move(target)),
      temporary_(make_temporary(target_, OutputKind::file)) {}

AtomicFile::AtomicFile(const Output& output)
    : output_(output), target_(without_slash(output.path)) {
  check_output(output, OutputKind::file);
  temporary_ = make_temporary(target_, OutputKind::file);
}

AtomicFile::~AtomicFile() {
  std::error_code ignored;
  fs::remove(temporary_, ignored);  // gone under this name once it was renamed
}

void AtomicFile::commit() {
  if (!ours_) check_what_is_there(output_, target_, OutputKind::file);
  rename_to(temporary_, target_);
  flush_to_disk(parent_of(target_));
}

void write_output(const Output& output, std::string_view text) {
  AtomicFile file(output);
  write_file(file.path(), text);
  file.commit();
}

OutputFolder::OutputFolder(const Output& output)
    : output_(output), target_(without_slash(output.path)) {
  check_output(output, OutputKind::folder);
  temporary_ = make_temporary(target_, OutputKind::folder);
}

OutputFolder::~OutputFolder() {
  if (committed_) return;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

void OutputFolder::commit() {
  for (const auto& entry : fs::recursive_directory_iterator(temporary_))
    flush_to_disk(entry.path());
  flush_to_disk(temporary_);
  check_what_is_there(output_, target_, OutputKind::folder);
  fs::path old;
  if (fs::exists(target_))
    old = exchange(temporary_, target_);
  else
    rename_to(temporary_, target_);
  committed_ = true;
  std::error_code ignored;
  try {
    flush_to_disk(parent_of(target_));
  } catch (const Error&) {
    fs::remove_all(old, ignored);
    throw;
  }
  fs::remove_all(old, ignored);  // once the new one is there to stay
}

}  // namespace karat
