// The small files of a model, wherever they are: in its folder, or made of a GGUF file's metadata.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace karat {

/// The text of config.json.
std::string config_text(const std::filesystem::path& model);

/// The text of the file `name` of a model; empty: there is none.
std::string model_text(const std::filesystem::path& model, const std::string& name);

/// The tokenizer's files (Tokenizer::files), names and texts.
std::vector<std::pair<std::filesystem::path, std::string>> tokenizer_texts(
    const std::filesystem::path& model);

/// What travels beside weights that are made of the model's (load/side_files.h): names and texts.
std::vector<std::pair<std::filesystem::path, std::string>> side_texts(
    const std::filesystem::path& model);

}  // namespace karat
