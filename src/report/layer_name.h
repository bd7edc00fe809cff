// "model.layers.3.self_attn.q_proj" -> block 3, kind "self_attn.q_proj".
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace karat::report {

struct LayerName {
  std::int64_t block = -1;  // −1: the name has no number
  std::string kind;
};

inline LayerName split_layer_name(std::string_view name) {
  constexpr std::int64_t kMostBlocks = 10000;  // a larger number is no block's
  for (std::size_t begin = 0; begin < name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    std::int64_t block = 0;
    const auto [stop, error] = std::from_chars(name.data() + begin, name.data() + end, block);
    if (error == std::errc{} && stop == name.data() + end && block >= 0 && block < kMostBlocks &&
        end < name.size())
      return {block, std::string(name.substr(end + 1))};
    begin = end + 1;
  }
  return {-1, std::string(name)};
}

/// For narrow columns: "self_attn.q_proj" -> "q", "attn.c_proj" -> "a.c_proj".
inline std::string short_kind(std::string_view kind) {
  std::string_view last = kind.substr(kind.rfind('.') + 1);  // npos + 1 is 0
  if (last.ends_with("_proj") && !last.starts_with("c_"))
    return std::string(last.substr(0, last.size() - 5));
  return last == kind ? std::string(kind)
                      : std::string(kind.substr(0, 1)) + "." + std::string(last);
}

}  // namespace karat::report
