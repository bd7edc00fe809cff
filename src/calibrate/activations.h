// Activations that wait for the next block, in memory or in a file.
#pragma once

#include <filesystem>
#include <vector>

#include "karat/torch.h"

namespace karat {

using HiddenStates = std::vector<torch::Tensor>;  // [1, time, hidden] F32 of every sequence

/// Places for so many sequences, in a file of `folder` that has no name any more: what is written
/// there takes disk and page cache instead of memory, and is gone with the last of the tensors.
/// Throws Error where the disk has no room.
HiddenStates states_on_disk(const std::filesystem::path& folder, std::int64_t sequences,
                            std::int64_t time, std::int64_t hidden);

}  // namespace karat
