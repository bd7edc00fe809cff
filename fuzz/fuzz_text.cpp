// libFuzzer target of the reader of text files: bytes become a file, which is text or an Error.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/file.h"
#include "karat/error.h"
#include "karat/text_file.h"
#include "load/text_kind.h"

using namespace karat;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto file =
      std::filesystem::temp_directory_path() / ("karat-fuzz-text-" + std::to_string(::getpid()));
  write_file(file, std::string_view(reinterpret_cast<const char*>(data), size));
  try {
    const TextFile text = TextFile::open(file);
    if (find_malformed(text.text()) != std::string_view::npos) __builtin_trap();
    std::size_t total = 0;
    for (const std::string_view record : text.records()) total += record.size();
    if (total > text.text().size()) __builtin_trap();
  } catch (const Error&) {
  }
  return 0;
}
