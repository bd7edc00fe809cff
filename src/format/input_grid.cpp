#include "format/input_grid.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "format/codec.h"
#include "karat/error.h"

namespace karat {

const InputGrid& find_input_grid(const std::string& where, const std::string& name) {
  const auto found = input_grid_table().find(name);
  if (found != input_grid_table().end()) return found->second();
  std::vector<std::string_view> names;
  for (const auto& entry : input_grid_table()) names.push_back(entry.first);
  fail(where, fmt::format("the input grid \"{}\"", name),
       fmt::format("one of {}", fmt::join(names, ", ")), kUpgrade);
}

}  // namespace karat
