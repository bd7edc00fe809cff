#include "pipeline/work.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/file.h"
#include "core/hash.h"
#include "karat/error.h"

namespace karat {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFingerprint = "fingerprint";

fs::path work_path(fs::path out) {
  if (!out.has_filename()) out = out.parent_path();
  out += ".work";
  return out;
}

std::string recipe_text(const Recipe& recipe) {
  std::string text = recipe.name;
  for (const RecipeFlag& flag : recipe_flags())
    if (flag.text) text += "|" + flag.text(recipe);
  return text;
}

/// Weights are told apart by size and time of their files: reading them all takes too long.
std::string files_text(const fs::path& folder) {
  std::string text = read_text(folder / "config.json");
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".safetensors")
      text += fmt::format("|{} {} {}", entry.path().filename().string(), entry.file_size(),
                          entry.last_write_time().time_since_epoch().count());
  return text;
}

}  // namespace

std::string fingerprint(const Source& model, const Assembled& recipe, const CalibrationSet& text) {
  std::string all = fmt::format("format {}|{}|{}", kFormatVersion, recipe_text(recipe.recipe),
                                files_text(model.folder));
  if (text.ids.defined()) {
    const torch::Tensor ids = text.ids.to(torch::kInt64).contiguous();
    all += fmt::format("|{}x{}|", ids.size(0), ids.size(1));
    all.append(static_cast<const char*>(ids.data_ptr()),
               static_cast<std::size_t>(ids.numel()) * sizeof(std::int64_t));
  }
  return sha256(std::as_bytes(std::span(all.data(), all.size())));
}

Work::Work(const fs::path& out, const std::string& fingerprint) : path_(work_path(out)) {
  const fs::path mark = path_ / kFingerprint;
  if (fs::exists(path_) && !fs::exists(mark))
    fail("quantize", path_.string() + " in the way", "a free name for unfinished work",
         "remove it or choose another --out");
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) fail("create " + path_.string(), error.message(), "a folder that can be written");
  lock_ = ::open(mark.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0 || ::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    if (lock_ >= 0) ::close(lock_);
    fail("quantize", "another process at work in " + path_.string(), "one at a time");
  }
  if (read_text(mark) == fingerprint) return;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_))
    if (entry.path() != mark) fs::remove_all(entry.path());
  write_file(mark, fingerprint);  // the same file, so the lock still holds
}

Work::~Work() {
  ::close(lock_);
  std::error_code ignored;
  if (!keep_) fs::remove_all(path_, ignored);
}

}  // namespace karat
