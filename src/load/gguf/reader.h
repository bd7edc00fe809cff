// Bytes of a GGUF file, taken one value after the other; the end of the file is never passed.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace karat {

class GgufReader {
 public:
  GgufReader(std::span<const std::byte> bytes, std::string path)
      : bytes_(bytes), path_(std::move(path)) {}

  template <class Number>
  Number number(const char* what) {
    Number value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }
  /// A length of 64 bits and as many bytes.
  std::string_view text(const char* what);
  std::span<const std::byte> take(std::uint64_t count, const char* what);
  /// A count of things that take at least `least` bytes each, so that it cannot cost memory.
  std::uint64_t count(std::size_t least, const char* what);

  std::uint64_t position() const { return position_; }
  std::uint64_t left() const { return bytes_.size() - position_; }
  /// What the file is being read for, for errors: "key llama.block_count".
  void enter(std::string place) { place_ = std::move(place); }
  [[noreturn]] void reject(const std::string& got, const std::string& expected,
                           const std::string& hint = {}) const;

 private:
  std::span<const std::byte> bytes_;
  std::string path_, place_;
  std::uint64_t position_ = 0;
};

}  // namespace karat
