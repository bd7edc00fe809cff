#include "run/kv_cache.h"

#include <cstring>
#include <string>

#include "karat/error.h"

namespace karat {
namespace {

std::size_t element_bytes(CacheType type) {
  return type == CacheType::f32 ? 4 : 2;
}

}  // namespace

std::size_t cache_bytes_per_token(const Architecture& arch, CacheType type) {
  return 2 * arch.blocks.size() * static_cast<std::size_t>(arch.kv_heads) *
         static_cast<std::size_t>(arch.head_dim) * element_bytes(type);
}

KvCache::KvCache(const Architecture& arch, std::int64_t capacity, CacheType type)
    : heads_(arch.kv_heads), head_dim_(arch.head_dim), type_(type) {
  blocks_ = capacity / kKeyBlock + (capacity % kKeyBlock != 0);
  std::size_t bytes = element_bytes(type);
  for (const std::size_t factor :
       {std::size_t{2}, arch.blocks.size(), static_cast<std::size_t>(arch.kv_heads),
        static_cast<std::size_t>(arch.head_dim), static_cast<std::size_t>(blocks_),
        static_cast<std::size_t>(kKeyBlock)})
    if (__builtin_mul_overflow(bytes, factor, &bytes))
      fail("key-value cache", std::to_string(capacity) + " positions", "a size that fits 64 bits");
  bytes_.reset(static_cast<std::byte*>(std::calloc(bytes, 1)));
  if (!bytes_)
    fail("key-value cache", "no memory for " + std::to_string(bytes >> 20) + " MiB",
         "enough memory for " + std::to_string(capacity) + " positions", "use a shorter context");
}

std::size_t KvCache::begin(std::int64_t layer, std::int64_t head, std::int64_t part,
                           std::int64_t block) const {
  const std::int64_t blocks_before = ((layer * heads_ + head) * 2 + part) * blocks_ + block;
  return static_cast<std::size_t>(blocks_before) * static_cast<std::size_t>(kKeyBlock * head_dim_);
}

void KvCache::put(std::size_t element, float value) {
  std::byte* place = bytes_.get() + element * element_bytes(type_);
  if (type_ == CacheType::f32) {
    std::memcpy(place, &value, sizeof value);
  } else {
    const std::uint16_t half = float_to_f16(value);
    std::memcpy(place, &half, sizeof half);
  }
}

void KvCache::store(std::int64_t layer, std::int64_t head, std::int64_t position, const float* k,
                    const float* v) {
  const std::int64_t block = position / kKeyBlock, inside = position % kKeyBlock;
  const std::size_t keys = begin(layer, head, 0, block), values = begin(layer, head, 1, block);
  for (std::int64_t d = 0; d < head_dim_; ++d) {
    put(keys + static_cast<std::size_t>(inside * head_dim_ + d), k[d]);
    put(values + static_cast<std::size_t>(d * kKeyBlock + inside), v[d]);
  }
}

MatrixView KvCache::view(std::size_t element, std::int64_t out, std::int64_t in) const {
  MatrixView matrix;
  matrix.store = type_ == CacheType::f32 ? MatrixView::Store::f32 : MatrixView::Store::f16;
  matrix.out = out;
  matrix.in = in;
  matrix.dense = bytes_.get() + element * element_bytes(type_);
  return matrix;
}

MatrixView KvCache::keys(std::int64_t layer, std::int64_t head, std::int64_t block) const {
  return view(begin(layer, head, 0, block), kKeyBlock, head_dim_);
}

MatrixView KvCache::values(std::int64_t layer, std::int64_t head, std::int64_t block) const {
  return view(begin(layer, head, 1, block), head_dim_, kKeyBlock);
}

}  // namespace karat
