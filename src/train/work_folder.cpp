#include "train/work_folder.h"

#include "karat/error.h"

namespace karat {
namespace fs = std::filesystem;
namespace {

fs::path default_path(fs::path out) {
  if (!out.has_filename()) out = out.parent_path();
  out += ".work";
  return out;
}

}  // namespace

WorkFolder::WorkFolder(const TrainOptions& options)
    : path_(options.work.empty() ? default_path(options.out) : options.work),
      own_(options.work.empty()),
      remove_(!fs::exists(path_)) {
  if (options.out.empty()) fail("train: --out", "no folder", "the folder to write");
  if (fs::exists(options.out) && !options.replace)
    fail("create " + options.out.string(), "a path that exists", "a new one",
         "pass --force to replace it");
  const bool unfinished = fs::exists(path_ / kCheckpointName);
  if (options.resume && !unfinished)
    fail("resume", "no checkpoint in " + path_.string(), "an interrupted run",
         "start it without --resume");
  if (unfinished && !options.resume && !options.replace)
    fail("train", "an unfinished run in " + path_.string(), "none",
         "pass --resume to go on with it or --force to begin anew");
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) fail("create " + path_.string(), error.message(), "a folder that can be written");
}

WorkFolder::~WorkFolder() {
  if (!remove_) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void WorkFolder::finish() {
  std::error_code ignored;
  if (own_)
    fs::remove_all(path_, ignored);
  else
    fs::remove(path_ / kCheckpointName, ignored);
}

}  // namespace karat
