// The header of one safetensors file, checked against the bytes it describes.
// Format: huggingface/safetensors README, "Format".
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "karat/tensor_view.h"

namespace karat {

inline constexpr std::size_t kMaxHeaderBytes = 100'000'000;  // the reference reader's limit

struct SafetensorsContent {
  std::vector<TensorView> tensors;  // in the order of their data; views into the parsed bytes
  std::map<std::string, std::string> metadata;
};

/// Parses `file`, the whole content of `path`. Throws Error naming `path` and the tensor unless the
/// header is well-formed and its tensors tile the rest of the file.
SafetensorsContent parse_safetensors(std::span<const std::byte> file, const std::string& path);

/// Bytes of the file that write_safetensors() makes of these; their data are not read. Throws Error
/// on names that are not UTF-8.
std::size_t safetensors_bytes(std::span<const TensorView> tensors,
                              const std::map<std::string, std::string>& metadata);

}  // namespace karat
