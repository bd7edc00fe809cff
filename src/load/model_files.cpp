#include "load/model_files.h"

#include "core/file.h"
#include "karat/tokenizer.h"
#include "load/folder.h"
#include "load/gguf/model.h"
#include "load/side_files.h"

namespace karat {
namespace fs = std::filesystem;
namespace {

constexpr const char* kConfig = "config.json";

}  // namespace

std::string config_text(const fs::path& model) {
  return is_gguf(model) ? gguf_config(GgufModel::open(model)) : read_text(model / kConfig);
}

std::string model_text(const fs::path& model, const std::string& name) {
  if (!is_gguf(model)) return is_there(model / name) ? read_text(model / name) : std::string();
  if (name == kConfig) return config_text(model);
  const GgufModel opened = GgufModel::open(model);
  const auto files = gguf_tokenizer(opened);
  const auto found = files.find(name);
  return found == files.end() ? std::string() : found->second;
}

std::vector<std::pair<fs::path, std::string>> tokenizer_texts(const fs::path& model) {
  std::vector<std::pair<fs::path, std::string>> texts;
  if (is_gguf(model)) {
    const GgufModel opened = GgufModel::open(model);
    for (auto& [name, text] : gguf_tokenizer(opened)) texts.emplace_back(name, text);
    return texts;
  }
  for (const fs::path& file : Tokenizer::files(model))
    texts.emplace_back(file.filename(), read_text(file));
  return texts;
}

std::vector<std::pair<fs::path, std::string>> side_texts(const fs::path& model) {
  if (is_gguf(model)) return tokenizer_texts(model);
  std::vector<std::pair<fs::path, std::string>> texts;
  for (const fs::path& file : side_files(model)) texts.emplace_back(file, read_text(model / file));
  return texts;
}

}  // namespace karat
