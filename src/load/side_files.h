// What lies beside the weights and belongs to the model: it travels into what is made of them.
#pragma once

#include <filesystem>
#include <vector>

namespace karat {

/// Paths below `folder`, relative to it, sorted: the tokenizer's files, generation_config.json,
/// chat templates, what prepares pictures and sounds, and licences, which are texts of at most
/// 1 MiB. Links whose target is gone and, but for the tokenizer's, files that cannot be read are
/// left out.
std::vector<std::filesystem::path> side_files(const std::filesystem::path& folder);

}  // namespace karat
