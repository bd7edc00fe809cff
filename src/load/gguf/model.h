// A model in GGUF files as the Hugging Face folder that it stands for: the same small files, made
// of its metadata, and the same tensors under the same names.
#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/file.h"
#include "load/gguf/family.h"

namespace karat {

/// Whether `path` is a file that begins as GGUF files do.
bool is_gguf(const std::filesystem::path& path);

/// The mapped parts of one model, checked. Throws Error as parse_gguf() does, or naming the part of
/// a split model that is missing or another one's.
class GgufModel {
 public:
  /// `file` is the whole model, or the first part of a split one: NAME-00001-of-00003.gguf.
  static GgufModel open(const std::filesystem::path& file);
  /// All parts; only the first is read.
  static std::vector<std::filesystem::path> files_of(const std::filesystem::path& file);

  const std::vector<std::shared_ptr<const MappedFile>>& files() const { return files_; }
  /// Safetensors::check() of all parts.
  void check() const;
  GgufKeys keys() const { return {content_, path_.string()}; }
  /// Throws Error when Karat does not have the architecture.
  GgufFamily family() const;

 private:
  std::filesystem::path path_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
  GgufContent content_;  // values of the first part, tensors of all
};

/// Tensors by Hugging Face's names, sorted, and the bytes of those that lie otherwise in the file:
/// rows of q and k put back, norms and other vectors in the type of the embedding where it holds
/// them exactly (GGUF has them in F32 whatever they were).
struct GgufTensors {
  std::vector<TensorView> tensors;
  std::shared_ptr<std::deque<std::vector<std::byte>>> made;
};
GgufTensors gguf_tensors(const GgufModel& model);

std::string gguf_config(const GgufModel& model);  // config.json

/// tokenizer.json, or tokenizer.model, and tokenizer_config.json, by these names. Throws Error on a
/// tokenizer or a split into words that Karat does not know.
std::map<std::string, std::string> gguf_tokenizer(const GgufModel& model);

/// Whether the file has a head of its own: one that equals its embedding is left out.
bool has_own_head(const GgufKeys& keys);

}  // namespace karat
