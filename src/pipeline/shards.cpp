#include "pipeline/shards.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "karat/safetensors.h"
#include "load/safetensors_header.h"

namespace karat {
namespace {

using nlohmann::ordered_json;
const std::map<std::string, std::string> kMetadata = {{"format", "pt"}};

}  // namespace

std::int64_t shard_bytes(std::span<const TensorView> tensors, std::size_t limit) {
  std::size_t total = 0, bytes = 0, first = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (bytes > 0 && bytes + tensors[i].bytes() > limit) {
      total += safetensors_bytes(tensors.subspan(first, i - first), kMetadata);
      first = i;
      bytes = 0;
    }
    bytes += tensors[i].bytes();
  }
  return static_cast<std::int64_t>(total + safetensors_bytes(tensors.subspan(first), kMetadata));
}

ShardWriter::ShardWriter(std::filesystem::path folder, std::size_t limit)
    : folder_(std::move(folder)), limit_(limit) {}

void ShardWriter::add(const TensorView& view) {
  if (bytes_ > 0 && bytes_ + view.bytes() > limit_) flush(shard_path(shards_.size(), 0));
  views_.push_back(view);
  bytes_ += view.bytes();
}

void ShardWriter::add(OwnedTensor tensor) {
  if (bytes_ > 0 && bytes_ + tensor.data.size() > limit_) flush(shard_path(shards_.size(), 0));
  bytes_ += tensor.data.size();
  owned_.push_back(std::move(tensor));
}

std::filesystem::path ShardWriter::shard_path(std::size_t index, std::size_t count) const {
  return folder_ / fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

void ShardWriter::flush(const std::filesystem::path& path) {
  for (const OwnedTensor& tensor : owned_) views_.push_back(tensor.view());
  std::vector<std::string> names;
  for (const TensorView& view : views_) names.push_back(view.name);
  write_safetensors(path, views_, kMetadata);
  shards_.push_back(std::move(names));
  total_ += bytes_;
  bytes_ = 0;
  views_.clear();
  owned_.clear();
}

void ShardWriter::finish() {
  if (shards_.empty()) return flush(folder_ / "model.safetensors");
  flush(shard_path(shards_.size(), 0));
  const std::size_t count = shards_.size();
  std::map<std::string, std::string> where;
  for (std::size_t i = 0; i < count; ++i) {
    const std::filesystem::path path = shard_path(i, count);
    std::filesystem::rename(shard_path(i, 0), path);
    for (const std::string& name : shards_[i]) where[name] = path.filename().string();
  }
  const ordered_json index = {{"metadata", {{"total_size", total_}}}, {"weight_map", where}};
  write_file(folder_ / "model.safetensors.index.json", index.dump(2) + "\n");
}

}  // namespace karat
