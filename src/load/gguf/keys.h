// Checked access to the metadata of a GGUF file: every value is typed, bounded, and named when it
// is wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "load/gguf/content.h"

namespace karat {

class GgufKeys {
 public:
  GgufKeys(const GgufContent& content, std::string path)
      : content_(&content), path_(std::move(path)), architecture_(text("general.architecture")) {}

  const std::string& path() const { return path_; }
  const std::string& architecture() const { return architecture_; }  // "llama"
  /// The key of the model's own architecture, "llama.block_count".
  std::string own(const std::string& key) const { return architecture_ + "." + key; }

  bool has(const std::string& key) const { return find(key) != nullptr; }
  std::int64_t count(const std::string& key) const;                        // required, 1 … 2^31
  std::optional<std::int64_t> find_integer(const std::string& key) const;  // |n| < 2^63
  std::optional<double> find_number(const std::string& key) const;         // finite
  std::optional<bool> find_flag(const std::string& key) const;
  std::optional<std::string> find_text(const std::string& key) const;  // UTF-8
  std::string text(const std::string& key) const;                      // required
  std::vector<std::string_view> texts(const std::string& key) const;   // required; [] when empty
  /// As many numbers as `size`; none when the key is absent.
  std::vector<double> numbers(const std::string& key, std::size_t size) const;

  const TensorView* find_tensor(std::string_view name) const;
  const GgufContent& content() const { return *content_; }
  [[noreturn]] void reject(const std::string& key, const std::string& got,
                           const std::string& expected, const std::string& hint = {}) const;

 private:
  const GgufValue* find(const std::string& key) const;
  const GgufContent* content_;
  std::string path_, architecture_;
};

}  // namespace karat
