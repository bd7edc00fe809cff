// What somebody should know of a model's folder or a text, for people; JSON carries it too.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

namespace karat {

inline void tell(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) fmt::print(stderr, "karat: warning: {}\n", warning);
}

}  // namespace karat
