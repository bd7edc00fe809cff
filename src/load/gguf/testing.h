// GGUF files made by hand, right or wrong.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "load/gguf/content.h"

namespace karat::testing {

template <class Number>
std::string raw(Number value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}
inline std::string gguf_text(std::string_view text) {
  return raw<std::uint64_t>(text.size()) + std::string(text);
}

/// Collects keys and tensors, then makes a file of them.
class GgufWriter {
 public:
  GgufWriter& key(std::string_view name, GgufType type, const std::string& value) {
    keys_ += gguf_text(name) + raw(static_cast<std::uint32_t>(type)) + value;
    ++key_count;
    return *this;
  }
  GgufWriter& text(std::string_view name, std::string_view value) {
    return key(name, GgufType::text, gguf_text(value));
  }
  GgufWriter& integer(std::string_view name, std::uint32_t value) {
    return key(name, GgufType::u32, raw(value));
  }
  GgufWriter& real(std::string_view name, float value) {
    return key(name, GgufType::f32, raw(value));
  }
  GgufWriter& flag(std::string_view name, bool value) {
    return key(name, GgufType::boolean, raw<std::uint8_t>(value ? 1 : 0));
  }
  GgufWriter& texts(std::string_view name, const std::vector<std::string>& values) {
    std::string all =
        raw(static_cast<std::uint32_t>(GgufType::text)) + raw<std::uint64_t>(values.size());
    for (const std::string& value : values) all += gguf_text(value);
    return key(name, GgufType::array, all);
  }
  template <class Number>
  GgufWriter& numbers(std::string_view name, GgufType type, const std::vector<Number>& values) {
    std::string all = raw(static_cast<std::uint32_t>(type)) + raw<std::uint64_t>(values.size());
    for (const Number value : values) all += raw(value);
    return key(name, GgufType::array, all);
  }
  /// `extents` with the innermost first; `bytes` are the tensor's.
  GgufWriter& tensor(std::string_view name, const std::vector<std::int64_t>& extents,
                     std::uint32_t type, const std::string& bytes) {
    infos_ += gguf_text(name) + raw(static_cast<std::uint32_t>(extents.size()));
    for (const std::int64_t extent : extents) infos_ += raw(extent);
    infos_ += raw(type) + raw<std::uint64_t>(data_.size());
    data_ += bytes;
    data_.resize((data_.size() + 31) / 32 * 32, '\0');
    ++tensor_count;
    return *this;
  }
  std::string bytes() const {
    std::string all = magic + raw(version) + raw(tensor_count) + raw(key_count) + keys_ + infos_;
    all.resize((all.size() + 31) / 32 * 32, '\0');
    return all + data_;
  }

  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::uint64_t tensor_count = 0, key_count = 0;  // may be made to lie

 private:
  std::string keys_, infos_, data_;
};

}  // namespace karat::testing
