#include "train/work_folder.h"

#include <nlohmann/json.hpp>
#include <set>

#include "core/file.h"
#include "karat/error.h"
#include "karat/safetensors.h"
#include "karat/tokenizer.h"
#include "train/checkpoint.h"
#include "train/export.h"

namespace karat {
namespace fs = std::filesystem;
namespace {

fs::path default_path(const fs::path& out) {
  fs::path path = without_slash(out);
  path += ".work";
  return path;
}

bool is_ours(const std::string& name) {
  return name.starts_with(kCheckpointName) || name.starts_with("tokens-");
}

std::string not_trained(const fs::path& folder) try {
  const auto log = nlohmann::json::parse(read_text(folder / "training_log.json"));
  if (!log.contains("settings") || !log.contains("curve")) return "no model trained by Karat";
  std::set<std::string> names = {"config.json", "model.safetensors", "training_log.json",
                                 kQuantizerRecord, kQuantizerLearned};
  for (const fs::path& file : Tokenizer::files(folder)) names.insert(file.filename().string());
  const std::string stranger =
      stranger_in(folder, [&](const std::string& name) { return names.contains(name); });
  return stranger.empty() ? "" : "it holds " + stranger + ", which train did not write";
} catch (const std::exception&) {  // a file is missing or unreadable
  return "no model trained by Karat";
}

}  // namespace

Output output_of(const TrainOptions& options) {
  Output output{.path = options.out,
                .replace = options.replace,
                .inputs = {options.config, options.tokenizer},
                .not_former = not_trained};
  for (const auto* files : {&options.data, &options.validation})
    output.inputs.insert(output.inputs.end(), files->begin(), files->end());
  return output;
}

WorkFolder::WorkFolder(const TrainOptions& options)
    : path_(options.work.empty() ? default_path(options.out) : options.work),
      own_(options.work.empty()),
      remove_(!fs::exists(path_)) {
  check_output(output_of(options), OutputKind::folder);
  if (!remove_) check();
  const bool unfinished = fs::exists(path_ / kCheckpointName);
  if (options.resume && !unfinished)
    fail("resume", "no checkpoint in " + path_.string(), "an interrupted run",
         "start it without --resume");
  if (unfinished && !options.resume && !options.replace)
    fail("train", "an unfinished run in " + path_.string(), "none",
         "pass --resume to go on with it or --force to begin again");
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) fail("create " + path_.string(), error.message(), "a folder that can be written");
}

/// A damaged checkpoint under our name is left for who reads it to refuse.
void WorkFolder::check() const {
  const auto refuse = [&](const std::string& name) {
    fail("train", (path_ / name).string() + " in the way", "an unfinished run of Karat alone",
         "remove it or choose another --out or --work");
  };
  if (!fs::is_directory(path_) || (own_ && fs::is_symlink(path_))) refuse("");
  if (own_)
    if (const std::string stranger = stranger_in(path_, is_ours); !stranger.empty())
      refuse(stranger);
  if (fs::exists(path_ / kCheckpointName) && !is_checkpoint(path_ / kCheckpointName))
    refuse(kCheckpointName);
}

WorkFolder::~WorkFolder() {
  if (remove_) clear();
}

void WorkFolder::clear() const {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_, ignored))
    if (is_ours(entry.path().filename().string())) fs::remove(entry.path(), ignored);
  fs::remove(path_, ignored);  // unless somebody else put something there
}

void WorkFolder::finish() {
  std::error_code ignored;
  if (own_)
    clear();
  else
    fs::remove(path_ / kCheckpointName, ignored);
}

}  // namespace karat
