// A checkpoint's tensors as Hugging Face lays them out.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "karat/tensor_view.h"

namespace karat {

inline constexpr std::size_t kShardBytes = std::size_t{512} << 20;

/// Bytes of the files that a ShardWriter makes of these tensors, in this order; their data are not
/// read.
std::int64_t shard_bytes(std::span<const TensorView> tensors, std::size_t limit);

/// model.safetensors, or shards with an index once there is more than `limit` bytes.
class ShardWriter {
 public:
  ShardWriter(std::filesystem::path folder, std::size_t limit);
  void add(const TensorView& view);  // the bytes must live until finish()
  void add(OwnedTensor tensor);
  void finish();

 private:
  void flush(const std::filesystem::path& path);
  std::filesystem::path shard_path(std::size_t index, std::size_t count) const;
  std::filesystem::path folder_;
  std::size_t limit_, bytes_ = 0, total_ = 0;
  std::vector<OwnedTensor> owned_;
  std::vector<TensorView> views_;
  std::vector<std::vector<std::string>> shards_;  // tensor names of those written
};

}  // namespace karat
