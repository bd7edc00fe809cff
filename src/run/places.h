// Who has which places of a cache.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace karat {

/// Places 0 … count − 1, given out in pieces, lowest first.
class Places {
 public:
  explicit Places(std::int64_t count) { give(0, count); }
  /// The first of `count` free places in a row; nothing where there are none.
  std::optional<std::int64_t> take(std::int64_t count);
  bool has(std::int64_t count) const;
  void give(std::int64_t begin, std::int64_t count);  // makes them free

 private:
  std::map<std::int64_t, std::int64_t> free_;  // begin -> end; no two of them touch
};

}  // namespace karat
