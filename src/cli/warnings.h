// What a model's folder says that Karat does not know, for people; JSON carries it too.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

namespace karat {

inline void tell(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) fmt::print(stderr, "karat: warning: {}\n", warning);
}

}  // namespace karat
