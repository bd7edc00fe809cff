// What a folder is that turns out not to hold a model as Hugging Face lays it out: each kind is
// told by what it holds, with what to do about it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace karat {

/// Throws Error unless `folder` is one, holds config.json, and no adapter that would change what
/// the weights compute.
void check_model_folder(const std::filesystem::path& folder);

/// Whether `path` is a link whose target is gone. Caches are full of links, and a download that was
/// cut off leaves such.
bool is_dangling(const std::filesystem::path& path);
/// Throws Error naming the target of such a link.
void refuse_dangling(const std::filesystem::path& path);
/// Whether something is at `path`; throws Error on such a link.
bool is_there(const std::filesystem::path& path);

/// Throws the Error about a folder with neither model.safetensors nor its index.
[[noreturn]] void refuse_weights(const std::filesystem::path& folder);

/// Throws Error when `text`, the content of `file`, only stands for a file that git-lfs would
/// fetch.
void refuse_pointer(std::string_view text, const std::string& file);

}  // namespace karat
