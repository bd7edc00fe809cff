// What lies beside the weights and belongs to the model: it travels into what is made of them.
#pragma once

#include <filesystem>
#include <vector>

namespace karat {

/// Paths below `folder`, relative to it, sorted: the tokenizer's files, generation_config.json,
/// chat templates, what prepares pictures and sounds, and licences, which are texts of at most
/// 1 MiB. Files that cannot be read and links whose target is gone are left out; of the tokenizer's
/// they are an Error.
std::vector<std::filesystem::path> side_files(const std::filesystem::path& folder);

struct BrokenLink {
  std::filesystem::path file, target;  // below the folder; as the link names it
};
/// The links whose target is gone that side_files() leaves out.
std::vector<BrokenLink> broken_side_files(const std::filesystem::path& folder);

}  // namespace karat
