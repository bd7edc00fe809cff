// Keys and values of the tokens so far, laid out so that attention is two matrix products per block
// of positions: keys [position, head_dim], values [head_dim, position] within a block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "karat/language_model.h"
#include "kernel/matrix.h"

namespace karat {

inline constexpr std::int64_t kKeyBlock = 64;  // positions

class KvCache {
 public:
  /// Room for `capacity` positions. Throws Error when its size overflows or cannot be had.
  KvCache(const Architecture& arch, std::int64_t capacity, CacheType type);

  /// Keeps k and v [head_dim] of one head at one position.
  void store(std::int64_t layer, std::int64_t head, std::int64_t position, const float* k,
             const float* v);
  MatrixView keys(std::int64_t layer, std::int64_t head, std::int64_t block) const;
  MatrixView values(std::int64_t layer, std::int64_t head, std::int64_t block) const;

 private:
  /// Element where block `block` of the keys (part 0) or values (part 1) of a head begins.
  std::size_t begin(std::int64_t layer, std::int64_t head, std::int64_t part,
                    std::int64_t block) const;
  MatrixView view(std::size_t element, std::int64_t out, std::int64_t in) const;
  void put(std::size_t element, float value);

  std::int64_t heads_, head_dim_, blocks_;
  CacheType type_;
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<std::byte, Free> bytes_;  // zero: what is masked must still be finite
};

}  // namespace karat
