#include "pipeline/work.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/file.h"
#include "core/output.h"
#include "karat/error.h"

namespace karat {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFingerprint = "fingerprint";
constexpr const char* kMeasuredFolder = "carried";
const std::set<std::string> kFolders = {"blocks",         kMeasuredFolder, "ends",  "first",
                                        "looked-back-on", "path",          "solved"};

constexpr const char* kMark = "karat work ";  // before the identity, which is JSON

/// Also what former versions wrote, and what a run leaves that is killed before it writes.
bool is_mark(const std::string& text) {
  const bool digest = text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
  return text.empty() || digest || text.starts_with(kMark);
}

fs::path work_path(const fs::path& out) {
  fs::path path = without_slash(out);
  path += ".work";
  return path;
}

/// What the passes leave in a work folder: the mark, the plan, and folders of tensors.
bool is_ours(const fs::directory_entry& entry) {
  const std::string name = entry.path().filename().string();
  if (entry.is_symlink()) return false;
  if (name == kFingerprint) return entry.is_regular_file() && is_mark(read_text(entry));
  if (name.starts_with(kMeasuredFile)) return entry.is_regular_file();
  const bool known =
      kFolders.contains(name) || name.starts_with("detached-") || name.starts_with("learned-");
  return known && entry.is_directory();
}

/// Whether the file was removed since it was opened: then others lock one of the same name.
bool is_gone(int file) {
  struct stat status {};
  return ::fstat(file, &status) != 0 || status.st_nlink == 0;
}

std::string mark_of(const WorkIdentity& identity) {
  nlohmann::ordered_json parts = nlohmann::ordered_json::array();
  for (const WorkPart& part : identity)
    parts.push_back({{"name", part.name}, {"summary", part.summary}, {"hash", part.hash}});
  return kMark + parts.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// What the mark says; nothing where a former version wrote it.
WorkIdentity identity_of(const std::string& mark) try {
  WorkIdentity identity;
  for (const auto& part : nlohmann::json::parse(mark.substr(std::string_view(kMark).size())))
    identity.push_back({part.at("name"), part.at("summary"), part.at("hash")});
  return identity;
} catch (const std::exception&) {
  return {};
}

/// The first part of `known` that is another in `there`, `late` ones among them or not; none:
/// nullptr.
const WorkPart* difference(const WorkIdentity& known, const WorkIdentity& there, bool late) {
  for (const WorkPart& part : known)
    if ((late || !part.late) && std::ranges::none_of(there, [&](const WorkPart& other) {
          return other.name == part.name && other.hash == part.hash;
        }))
      return &part;
  return nullptr;
}

/// A run that was killed before it found anything leaves its mark alone.
bool holds_work(const fs::path& folder) {
  for (const fs::directory_entry& entry : entries_of(folder))
    if (entry.path().filename() != kFingerprint) return true;
  return false;
}

/// Beyond what measuring leaves.
bool holds_quantized(const fs::path& folder) {
  for (const fs::directory_entry& entry : entries_of(folder)) {
    const std::string name = entry.path().filename().string();
    if (kFolders.contains(name) && name != kMeasuredFolder && !entries_of(entry).empty())
      return true;
  }
  return false;
}

void refuse_other_work(const fs::path& out, const WorkIdentity& known) {
  const fs::path folder = work_path(out);
  const WorkIdentity there = identity_of(read_text(folder / kFingerprint));
  const WorkPart* other = difference(known, there, holds_quantized(folder));
  if (other == nullptr) return;
  std::string belongs;
  for (const WorkPart& part : there)
    if (!part.summary.empty())
      belongs += fmt::format("{}{} {}", belongs.empty() ? ", of " : ", ", part.name, part.summary);
  fail("write " + out.string(),
       fmt::format("unfinished work of {} in {}{}",
                   there.empty() ? "another version of Karat" : "another " + other->name,
                   folder.string(), belongs),
       "that of this command, or none",
       "go on with the command that began it, discard it with --force, or name another --out");
}

}  // namespace

void Work::check(const fs::path& out, const WorkIdentity& known, bool discard) {
  const fs::path path = work_path(out);
  const fs::file_status status = fs::symlink_status(path);
  if (!fs::exists(status)) return;
  std::string stranger;
  if (fs::is_directory(status))
    for (const fs::directory_entry& entry : entries_of(path))
      if (!is_ours(entry)) stranger = " with " + entry.path().filename().string();
  if (!fs::is_directory(status) || !stranger.empty() || !fs::exists(path / kFingerprint))
    fail("write " + out.string(), path.string() + stranger + " in the way",
         "a free name for unfinished work", "remove it or choose another --out");
  if (!discard && holds_work(path)) refuse_other_work(out, known);
}

Work::Work(const fs::path& out, const WorkIdentity& identity, bool discard)
    : path_(work_path(out)) {
  check(out, identity, discard);
  const fs::path mark = path_ / kFingerprint;
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) fail("create " + path_.string(), error.message(), "a folder that can be written");
  lock_ = ::open(mark.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0 || ::flock(lock_, LOCK_EX | LOCK_NB) != 0 || is_gone(lock_)) {
    if (lock_ >= 0) ::close(lock_);
    fail("write " + out.string(), "another process at work in " + path_.string(), "one at a time");
  }
  const WorkIdentity there = identity_of(read_text(mark));
  if (difference(identity, there, true) == nullptr) return;
  if (holds_quantized(path_) || difference(identity, there, false) != nullptr) clear();
  try {
    write_file(mark, mark_of(identity));  // the same file, so the lock still holds
  } catch (...) {
    leave();
    throw;
  }
}

Work::~Work() {
  leave();
}

void Work::leave() {
  if (!keep_) {
    std::error_code ignored;
    clear();
    fs::remove(path_ / kFingerprint, ignored);
    fs::remove(path_, ignored);  // unless somebody else put something there
  }
  ::close(lock_);  // last: whoever gets the lock before would lose what it writes
}

void Work::clear() {
  std::error_code ignored;
  for (const fs::directory_entry& entry : entries_of(path_))
    if (is_ours(entry) && entry.path().filename() != kFingerprint)
      fs::remove_all(entry.path(), ignored);
}

}  // namespace karat
