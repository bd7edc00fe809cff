#include "karat/safetensors.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/checked.h"
#include "core/file.h"
#include "karat/error.h"
#include "load/folder.h"
#include "load/gguf/model.h"
#include "load/json.h"
#include "load/safetensors_header.h"

namespace karat {
namespace fs = std::filesystem;
namespace {

constexpr const char* kWhole = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr std::size_t kMaxIndexBytes = 64u << 20;  // the largest public models have some 10 MB

/// Tensor name -> shard, from the text of a model.safetensors.index.json.
std::map<std::string, std::string> read_index(const fs::path& path) {
  const nlohmann::json index = parse_json(read_text(path, kMaxIndexBytes), path.string());
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object() ||
      index["weight_map"].empty())
    fail("read " + path.string(), "no weight_map", "an object of tensor name to file name");
  std::map<std::string, std::string> shards;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    // A shard lies beside its index; a path could name any file of the machine.
    if (name.empty() || name == "." || name == ".." ||
        name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos)
      fail(fmt::format("read {}, tensor {}", path.string(), excerpt(tensor)),
           "the file " + excerpt(file.dump(-1, ' ', true)), "a plain file name");
    shards.emplace(tensor, name);
  }
  return shards;
}

bool by_name(const TensorView& a, const TensorView& b) {
  return a.name < b.name;
}

}  // namespace

void Safetensors::add_file(const fs::path& file, const std::map<std::string, std::string>& index) {
  auto mapped = MappedFile::open(file);
  refuse_pointer(mapped->text(), file.string());
  SafetensorsContent content = parse_safetensors(mapped->bytes(), file.string());
  mapped->check();
  // What the index places in another file, or nowhere and an earlier file has, nothing reads.
  std::erase_if(content.tensors, [&](const TensorView& tensor) {
    const auto place = index.find(tensor.name);
    return place == index.end() ? find(tensor.name) != nullptr : place->second != file.filename();
  });
  std::sort(content.tensors.begin(), content.tensors.end(), by_name);
  const auto old = static_cast<std::ptrdiff_t>(tensors_.size());
  std::move(content.tensors.begin(), content.tensors.end(), std::back_inserter(tensors_));
  std::inplace_merge(tensors_.begin(), tensors_.begin() + old, tensors_.end(), by_name);
  metadata_.merge(content.metadata);  // the first shard's value stays
  file_bytes_ += mapped->bytes().size();
  files_.push_back(std::move(mapped));
}

Safetensors Safetensors::open(const fs::path& file) {
  Safetensors result;
  result.add_file(file, {});
  return result;
}

std::vector<fs::path> Safetensors::files_of(const fs::path& folder) {
  if (is_gguf(folder)) return GgufModel::files_of(folder);
  if (is_there(folder / kWhole)) return {folder / kWhole};
  const fs::path index = folder / kIndex;
  if (!is_there(index)) refuse_weights(folder);
  std::set<fs::path> shards;
  for (const auto& [tensor, shard] : read_index(index)) shards.insert(folder / shard);
  for (const fs::path& shard : shards)
    if (!is_there(shard))
      fail("open " + folder.string(), "no shard " + excerpt(shard.filename().string()),
           "every file that model.safetensors.index.json names", "download the missing file");
  return {shards.begin(), shards.end()};
}

Safetensors Safetensors::open_gguf(const fs::path& file) {
  const GgufModel model = GgufModel::open(file);
  GgufTensors found;
  checked(model, [&] { found = gguf_tensors(model); });
  Safetensors result;
  result.tensors_ = std::move(found.tensors);
  result.made_ = std::move(found.made);
  result.files_ = model.files();
  for (const auto& mapped : result.files_) result.file_bytes_ += mapped->bytes().size();
  return result;
}

Safetensors Safetensors::open_folder(const fs::path& folder) {
  if (is_gguf(folder)) return open_gguf(folder);
  Safetensors result;
  const std::vector<fs::path> files = files_of(folder);
  const bool whole = files.front().filename() == kWhole;
  const auto index = whole ? std::map<std::string, std::string>() : read_index(folder / kIndex);
  for (const fs::path& file : files) result.add_file(file, index);
  for (const auto& [tensor, shard] : index)
    if (result.find(tensor) == nullptr)
      fail("open " + (folder / shard).string(), "no tensor " + excerpt(tensor),
           "the one that model.safetensors.index.json names");
  return result;
}

void Safetensors::replace(const std::set<std::string>& names, std::vector<TensorView> parts) {
  if (names.empty()) return;
  std::erase_if(tensors_, [&](const TensorView& view) { return names.contains(view.name); });
  std::move(parts.begin(), parts.end(), std::back_inserter(tensors_));
  std::sort(tensors_.begin(), tensors_.end(), by_name);
}

void Safetensors::check() const {
  for (const auto& file : files_) file->check();
}

const TensorView* Safetensors::find(std::string_view name) const {
  const auto at = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const TensorView& view, std::string_view key) { return view.name < key; });
  return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

const TensorView& Safetensors::get(std::string_view name) const {
  const TensorView* view = find(name);
  if (view == nullptr)
    fail("find tensor " + excerpt(name), "nothing of that name", "a tensor of the checkpoint");
  return *view;
}

}  // namespace karat
