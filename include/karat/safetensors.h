// The tensors of safetensors files, of the folders Hugging Face makes of them, and of GGUF files:
// mapped, checked, never copied whole.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "karat/tensor_view.h"

namespace karat {

class MappedFile;  // core/file.h

/// Tensors of one file or of one model (model.safetensors, a sharded index, or GGUF). The views
/// stay valid while this object, or a copy of it, lives. The first mapped file installs a handler
/// of SIGBUS for the process, which acts on Karat's mappings alone and passes any other fault on to
/// the handler before it (DESIGN.md, section 5). Format: huggingface/safetensors README.
class Safetensors {
 public:
  /// Maps and validates one file: header size, types, shapes, and that the tensors tile the buffer
  /// without holes or overlap. Throws Error naming the file and the tensor.
  static Safetensors open(const std::filesystem::path& file);
  /// Maps `model.safetensors`, or every shard of `model.safetensors.index.json`; or a GGUF file,
  /// whose tensors get the names and the order of rows of a folder.
  static Safetensors open_folder(const std::filesystem::path& folder);
  /// The files that open_folder maps, sorted; others of the folder make no difference.
  static std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder);

  const TensorView* find(std::string_view name) const;                 // nullptr when absent
  const TensorView& get(std::string_view name) const;                  // throws when absent
  const std::vector<TensorView>& tensors() const { return tensors_; }  // sorted by name
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Puts `parts`, views of bytes of this object, in the place of the tensors of these names.
  void replace(const std::set<std::string>& names, std::vector<TensorView> parts);
  std::size_t file_bytes() const { return file_bytes_; }  // of all mapped files together
  /// Throws Error naming a file that was written to or cut since it was opened; where its pages
  /// were gone, zeros were read. To be called after reading, before what was made of it is used. A
  /// file that was removed, or replaced by another of its name, is still mapped as it was.
  void check() const;

 private:
  /// Adds what `index` (tensor name -> file name) places in `file`, and names that are new.
  void add_file(const std::filesystem::path& file, const std::map<std::string, std::string>& index);
  static Safetensors open_gguf(const std::filesystem::path& file);
  std::vector<TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::shared_ptr<const void> made_;  // bytes of tensors that lie otherwise in the file
  std::size_t file_bytes_ = 0;
};

/// Writes one safetensors file at exactly `file` and flushes it to disk; the bytes depend on
/// the arguments alone. Removes the file again when writing fails (a full disk, say), then throws.
void write_safetensors(const std::filesystem::path& file, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace karat
