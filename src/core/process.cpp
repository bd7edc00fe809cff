#include "core/process.h"

#include <fstream>
#include <string>

namespace karat {

std::optional<std::int64_t> process_bytes(std::string_view line) {
  const std::string name = std::string(line) + ":";
  std::ifstream file("/proc/self/status");
  for (std::string text; std::getline(file, text);)
    if (text.starts_with(name)) return std::stoll(text.substr(name.size())) * 1024;
  return {};
}

}  // namespace karat
