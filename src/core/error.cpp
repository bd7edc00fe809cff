#include "karat/error.h"

#include <fmt/format.h>

namespace karat {

void fail(std::string_view operation, std::string_view got, std::string_view expected,
          std::string_view hint) {
  std::string text = fmt::format("{}: got {}, expected {}", operation, got, expected);
  if (!hint.empty()) text += fmt::format("; {}", hint);
  throw Error(text);
}

}  // namespace karat
