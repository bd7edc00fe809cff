#include "load/folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "core/file.h"
#include "karat/error.h"
#include "load/json.h"

namespace karat {
namespace fs = std::filesystem;
namespace {

constexpr const char* kModel = "a folder with config.json and model.safetensors, or a GGUF file";
constexpr const char* kMerge =
    "merge it first: merge_and_unload() of the Python package peft, then save_pretrained()";
constexpr std::size_t kMostNames = 100'000;  // of a folder, so that any folder may be named

/// Names in a folder, sorted; none when it cannot be read.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
    if (names.size() == kMostNames) break;
  }
  std::ranges::sort(names);
  return names;
}

/// The first name with this beginning and end.
std::optional<std::string> find_name(const std::vector<std::string>& names, std::string_view begin,
                                     std::string_view end) {
  const auto found = std::ranges::find_if(names, [&](const std::string& name) {
    return name.size() >= begin.size() + end.size() && name.starts_with(begin) &&
           name.ends_with(end);
  });
  return found == names.end() ? std::nullopt : std::optional(*found);
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

[[noreturn]] void refuse_file(const fs::path& file) {
  if (is_file(file.parent_path() / "config.json"))
    fail("model " + file.string(), "a file", "the folder that holds it",
         "give " + file.parent_path().string());
  fail("model " + file.string(), "a file", kModel);
}

[[noreturn]] void refuse_absent(const fs::path& path) {
  refuse_dangling(path);
  const std::string text = path.string();
  const bool repository = !text.empty() && std::ranges::count(text, '/') == 1 &&
                          text.front() != '/' && text.front() != '.' && text.back() != '/';
  fail("model " + text, "no such folder", kModel,
       repository ? fmt::format("Karat downloads nothing; fetch it first, for example with: hf "
                                "download {0} --local-dir {1}, and give {1}",
                                text, path.filename().string())
                  : "Karat downloads nothing; give the folder of a model on this machine");
}

/// The one snapshot, or the latest written, of a model in Hugging Face's cache.
std::optional<fs::path> snapshot_in(const fs::path& repository) {
  std::optional<fs::path> best;
  fs::file_time_type latest;
  for (const std::string& name : names_in(repository / "snapshots")) {
    const fs::path snapshot = repository / "snapshots" / name;
    std::error_code error;
    const auto time = fs::last_write_time(snapshot, error);
    if (error || !is_folder(snapshot) || (best && time <= latest)) continue;
    best = snapshot;
    latest = time;
  }
  return best;
}

/// A folder of Hugging Face's cache: of one model, of all models, or the one that holds these.
void refuse_cache(const fs::path& folder, const std::vector<std::string>& names) {
  if (const auto snapshot = snapshot_in(folder))
    fail("model " + folder.string(), "a model's folder in the Hugging Face cache",
         "the snapshot in it", "give " + snapshot->string());
  const fs::path hub = is_folder(folder / "hub") ? folder / "hub" : folder;
  const auto models = hub == folder ? names : names_in(hub);
  const auto model = find_name(models, "models--", "");
  if (!model) return;
  const auto snapshot = snapshot_in(hub / *model);
  fail("model " + folder.string(), "the Hugging Face cache", "one model's snapshot in it",
       "give " + snapshot.value_or(hub / *model / "snapshots" / "…").string());
}

std::string base_of_adapter(const fs::path& folder) {
  try {
    const auto json = parse_json(read_text(folder / "adapter_config.json", 1 << 20), "");
    return excerpt(json.at("base_model_name_or_path").get<std::string>());
  } catch (const std::exception&) {  // whatever the file holds, it is only asked for a name
    return "its base model";
  }
}

[[noreturn]] void refuse_without_config(const fs::path& folder) {
  const std::string where = "model " + folder.string();
  const std::vector<std::string> names = names_in(folder);
  refuse_dangling(folder / "config.json");
  if (find_name(names, "adapter_config.json", ""))
    fail(where, "an adapter without the model it belongs to", kModel,
         fmt::format("it belongs to {}; {}", base_of_adapter(folder), kMerge));
  refuse_cache(folder, names);
  if (const auto gguf = find_name(names, "", ".gguf"))
    fail(where, "GGUF files and no config.json", kModel,
         "give the file: " + (folder / excerpt(*gguf)).string());
  for (const char* name : {"params.json", "model_index.json"})
    if (find_name(names, name, ""))
      fail(where, std::string(name) + " and no config.json", kModel,
           name[0] == 'p' ? "these are the weights as their makers release them; get the folder "
                            "for transformers"
                          : "this is a pipeline of diffusers; give one of its language models");
  for (const std::string& name : names)
    if (is_file(folder / name / "config.json"))
      fail(where, "no config.json", kModel,
           "there is one in " + (folder / name).string() + "; give that folder");
  fail(where, names.empty() ? "an empty folder" : "no config.json", kModel);
}

}  // namespace

bool is_dangling(const fs::path& path) {
  std::error_code ignored;
  return fs::is_symlink(path, ignored) && !fs::exists(path, ignored);
}

void refuse_dangling(const fs::path& path) {
  std::error_code ignored;
  if (is_dangling(path))
    fail("open " + path.string(),
         "a link to " + fs::read_symlink(path, ignored).string() + ", which is not there",
         "the file itself", "the download was cut off or its cache was cleaned; download again");
}

bool is_there(const fs::path& path) {
  refuse_dangling(path);
  std::error_code ignored;
  return fs::exists(path, ignored);
}

void check_model_folder(const fs::path& folder) {
  if (!is_folder(folder)) {
    std::error_code ignored;
    if (fs::exists(folder, ignored)) refuse_file(folder);
    refuse_absent(folder);
  }
  if (!is_file(folder / "config.json")) refuse_without_config(folder);
  if (is_there(folder / "adapter_config.json"))
    fail("model " + folder.string(), "an adapter (adapter_config.json) beside the weights",
         "weights that hold all that the model computes",
         std::string(kMerge) + ", or remove adapter_config.json to use the weights without it");
}

void refuse_weights(const fs::path& folder) {
  const std::string where = "open " + folder.string();
  constexpr const char* kWeights = "model.safetensors, or its shards and their index";
  const std::vector<std::string> names = names_in(folder);
  refuse_dangling(folder / "model.safetensors");
  refuse_dangling(folder / "model.safetensors.index.json");
  if (const auto shard = find_name(names, "model-", ".safetensors"))
    fail(where, "the shard " + excerpt(*shard) + " and no model.safetensors.index.json", kWeights,
         "download the index too: it says which tensor lies in which shard");
  if (const auto variant = find_name(names, "model.", ".safetensors"))
    fail(where, excerpt(*variant), kWeights, "rename it to model.safetensors to use this variant");
  if (find_name(names, "consolidated", ".safetensors"))
    fail(where, "consolidated.safetensors alone", kWeights,
         "its tensors have the names of Mistral's own programs; download the other .safetensors "
         "files of the same repository");
  for (const char* end : {".bin", ".pth", ".pt", ".ckpt"})
    if (const auto pickle = find_name(names, "", end))
      fail(where, excerpt(*pickle) + " and no safetensors", kWeights,
           "Karat reads no pickles, which may run any code; convert it: from_pretrained() and "
           "save_pretrained() of transformers write safetensors");
  if (const auto gguf = find_name(names, "", ".gguf"))
    fail(where, excerpt(*gguf) + " and no safetensors", kWeights, "give that file");
  for (const char* end : {".h5", ".msgpack", ".onnx"})
    if (const auto other = find_name(names, "", end))
      fail(where, excerpt(*other) + " and no safetensors", kWeights,
           "get the safetensors of the same model");
  if (const auto other = find_name(names, "", ".safetensors"))
    fail(where, excerpt(*other) + " alone", kWeights,
         "if it holds the whole model, rename it to model.safetensors");
  fail(where, "neither model.safetensors nor model.safetensors.index.json", kWeights);
}

void refuse_pointer(std::string_view text, const std::string& file) {
  if (text.starts_with("version https://git-lfs.github.com/spec/"))
    fail("read " + file, "a git-lfs pointer, not the file that it stands for", "the file itself",
         "run git lfs pull in its folder, or download it again");
}

}  // namespace karat
