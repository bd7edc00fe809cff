// Keys and values of the tokens so far, laid out so that attention is two matrix products per block
// of positions, both of which read their block in order: keys [head_dim, position], values
// [position, head_dim] within a block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "karat/engine.h"
#include "kernel/kernel.h"

namespace karat {

inline constexpr std::int64_t kKeyBlock = 64;  // positions

class KvCache {
 public:
  /// Room for `capacity` positions. Throws Error when its size overflows or cannot be had.
  KvCache(const Architecture& arch, std::int64_t capacity, CacheType type);

  /// Keeps k and v [head_dim] of one head at one position. Throws Error when one of them is finite
  /// and becomes infinite in F16.
  void store(std::int64_t layer, std::int64_t head, std::int64_t position, const float* k,
             const float* v);
  /// The keys and values of `count` places from `from` on, in all layers, stand at `to` too.
  void copy(std::int64_t from, std::int64_t to, std::int64_t count);
  /// Of these blocks, each is its own `next`.
  CellBlock keys(std::int64_t layer, std::int64_t head, std::int64_t block) const;
  /// Columns past head_dim, to the next multiple of 8, are 0.
  CellBlock values(std::int64_t layer, std::int64_t head, std::int64_t block) const;
  /// What the cells of a block's positions are multiplied by [kKeyBlock]; nullptr where they are
  /// numbers already.
  const float* key_scales(std::int64_t layer, std::int64_t head, std::int64_t block) const;
  const float* value_scales(std::int64_t layer, std::int64_t head, std::int64_t block) const;
  /// head_dim, to the next multiple of 8.
  std::int64_t width() const { return width_; }

 private:
  std::int64_t block_of(std::int64_t layer, std::int64_t head, std::int64_t block) const {
    return (layer * heads_ + head) * blocks_ + block;
  }
  std::size_t keys_at(std::int64_t block) const;  // element; `block` counts all there are
  std::size_t values_at(std::int64_t block) const;
  CellBlock cells(std::size_t element, std::int64_t columns) const;
  void copy_place(std::int64_t from, std::int64_t to);
  void put(std::size_t element, std::size_t step, const float* from, float* scale);

  std::int64_t heads_, head_dim_, width_, blocks_, all_blocks_;
  CacheType type_;
  struct Free {
    void operator()(void* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<std::byte, Free> bytes_;  // zero: what is masked must still be finite
  std::unique_ptr<float, Free> scales_;     // [2, all blocks, kKeyBlock], q8 alone
};

}  // namespace karat
