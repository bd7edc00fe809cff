// What the tests of this layer share: folders that vanish, hand-made files, the text of an error.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "core/temporary.h"
#include "karat/error.h"

namespace karat::testing {

/// A new empty folder, removed at the end of the test.
class TempFolder {
 public:
  std::filesystem::path operator/(std::string_view name) const { return folder_.path / name; }
  const std::filesystem::path& path() const { return folder_.path; }
  void write(std::string_view name, std::string_view text) const {
    std::ofstream(folder_.path / name, std::ios::binary) << text;
  }

 private:
  TemporaryFolder folder_;
};

/// A safetensors file: the length of `header`, `header`, then `data`.
inline std::string framed(std::string_view header, std::string_view data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return bytes.append(header).append(data);
}

/// The text of the Error that `action` throws; "no error" when it does not.
template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

inline void contains(const std::string& text, std::string_view part) {
  CAPTURE(text);
  CAPTURE(part);
  CHECK(text.find(part) != std::string::npos);
}

}  // namespace karat::testing
