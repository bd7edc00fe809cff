#include "run/kv_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>

#include "core/platform.h"
#include "karat/error.h"

namespace karat {
namespace {

constexpr CacheType kCacheTypes[] = {CacheType::f32, CacheType::f16, CacheType::q8};

std::size_t element_bytes(CacheType type) {
  return type == CacheType::f32 ? 4 : type == CacheType::f16 ? 2 : 1;
}

CellBlock::Cell cell_of(CacheType type) {
  using Cell = CellBlock::Cell;
  return type == CacheType::f32 ? Cell::f32 : type == CacheType::f16 ? Cell::f16 : Cell::i8;
}

std::int64_t padded(std::int64_t head_dim) {
  return (head_dim + 7) / 8 * 8;
}

/// Asks for pages of 2 MiB: a token reads all of the cache, which small pages slow down. A large
/// cache, whose room may be for tokens that never come, keeps the small ones.
void use_huge_pages(void* data, std::size_t bytes) {
  constexpr std::size_t kPage = std::size_t{2} << 20, kLarge = std::size_t{512} << 20;
  std::size_t room = bytes;
  if (bytes > kLarge || std::align(kPage, kPage, data, room) == nullptr) return;
  want_huge_pages(data, room / kPage * kPage);
}

/// Zeros; the factors' product is the number of bytes. Pages that nobody writes take no memory.
void* zeros(std::initializer_list<std::int64_t> factors, std::int64_t capacity) {
  std::size_t bytes = 1;
  for (const std::int64_t factor : factors)
    if (__builtin_mul_overflow(bytes, static_cast<std::size_t>(factor), &bytes))
      fail("key-value cache", std::to_string(capacity) + " positions", "a size that fits 64 bits");
  void* data = std::calloc(bytes, 1);
  if (data == nullptr)
    fail("key-value cache", "no memory for " + std::to_string(bytes >> 20) + " MiB",
         "enough memory for " + std::to_string(capacity) + " positions", "use a shorter context");
  use_huge_pages(data, bytes);
  return data;
}

/// FP16's largest number is 65504; what rounds to more becomes an infinity.
std::uint16_t checked_f16(float x) {
  const std::uint16_t half = float_to_f16(x);
  constexpr std::uint16_t kExponent = 0x7C00;
  if ((half & kExponent) == kExponent && std::isfinite(x))
    fail("key-value cache", fmt::format("a key or value of {:.3g}", x),
         "at most 65504, the largest number of f16", "--kv f32 keeps it");
  return half;
}

/// The largest |x| / 127; NaN where an x is not finite.
float scale_of(const float* x, std::int64_t n) {
  float largest = 0, poison = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    largest = std::max(largest, std::fabs(x[i]));
    poison += x[i] * 0;
  }
  return largest / 127 + poison;
}

}  // namespace

std::string_view name_of(CacheType type) {
  return type == CacheType::f32 ? "f32" : type == CacheType::f16 ? "f16" : "q8";
}

CacheType parse_cache_type(std::string_view name) {
  for (const CacheType type : kCacheTypes)
    if (name_of(type) == name) return type;
  fail("key-value cache", fmt::format("\"{}\"", name), "f32, f16 or q8");
}

std::size_t cache_bytes_per_token(const Architecture& arch, CacheType type) {
  const auto numbers = static_cast<std::size_t>(arch.head_dim + padded(arch.head_dim));
  return arch.blocks.size() * static_cast<std::size_t>(arch.kv_heads) *
         (numbers * element_bytes(type) + (type == CacheType::q8 ? 2 * sizeof(float) : 0));
}

KvCache::KvCache(const Architecture& arch, std::int64_t capacity, CacheType type)
    : heads_(arch.kv_heads),
      head_dim_(arch.head_dim),
      width_(padded(arch.head_dim)),
      blocks_(capacity / kKeyBlock + (capacity % kKeyBlock != 0)),
      all_blocks_(0),
      type_(type) {
  const auto layers = static_cast<std::int64_t>(arch.blocks.size());
  bytes_.reset(
      static_cast<std::byte*>(zeros({static_cast<std::int64_t>(element_bytes(type)),
                                     head_dim_ + width_, layers, heads_, blocks_, kKeyBlock},
                                    capacity)));
  all_blocks_ = layers * heads_ * blocks_;
  if (type == CacheType::q8)
    scales_.reset(
        static_cast<float*>(zeros({2 * sizeof(float), all_blocks_, kKeyBlock}, capacity)));
}

std::size_t KvCache::keys_at(std::int64_t block) const {
  return static_cast<std::size_t>(block * kKeyBlock * head_dim_);
}
std::size_t KvCache::values_at(std::int64_t block) const {
  return static_cast<std::size_t>((all_blocks_ * head_dim_ + block * width_) * kKeyBlock);
}

void KvCache::put(std::size_t element, std::size_t step, const float* from, float* scale) {
  std::byte* to = bytes_.get() + element * element_bytes(type_);
  if (type_ == CacheType::q8) *scale = scale_of(from, head_dim_);
  const float factor = type_ == CacheType::q8 && *scale > 1e-30f ? 1 / *scale : 0;
  for (std::int64_t d = 0; d < head_dim_; ++d, to += step * element_bytes(type_)) {
    if (type_ == CacheType::f32) {
      std::memcpy(to, &from[d], sizeof(float));
    } else if (type_ == CacheType::f16) {
      const std::uint16_t half = checked_f16(from[d]);
      std::memcpy(to, &half, sizeof half);
    } else {
      *to = static_cast<std::byte>(static_cast<std::int8_t>(std::nearbyint(from[d] * factor)));
    }
  }
}

void KvCache::store(std::int64_t layer, std::int64_t head, std::int64_t position, const float* k,
                    const float* v) {
  const std::int64_t block = block_of(layer, head, position / kKeyBlock),
                     inside = position % kKeyBlock;
  float* scale = scales_ ? scales_.get() + block * kKeyBlock + inside : nullptr;
  put(keys_at(block) + static_cast<std::size_t>(inside), kKeyBlock, k, scale);
  if (scale != nullptr) scale += all_blocks_ * kKeyBlock;
  put(values_at(block) + static_cast<std::size_t>(inside * width_), 1, v, scale);
}

/// Place p of the cache of one layer and head is place p of all blocks counted from its first one.
void KvCache::copy_place(std::int64_t from, std::int64_t to) {
  const std::size_t size = element_bytes(type_);
  const auto bytes = [&](std::size_t element) { return bytes_.get() + element * size; };
  const auto key = [](std::int64_t place) { return static_cast<std::size_t>(place % kKeyBlock); };
  const auto value = [&](std::int64_t place) {
    return values_at(place / kKeyBlock) + static_cast<std::size_t>(place % kKeyBlock * width_);
  };
  for (std::size_t d = 0; d < static_cast<std::size_t>(head_dim_); ++d)
    std::memcpy(bytes(keys_at(to / kKeyBlock) + key(to) + d * kKeyBlock),
                bytes(keys_at(from / kKeyBlock) + key(from) + d * kKeyBlock), size);
  std::memcpy(bytes(value(to)), bytes(value(from)), static_cast<std::size_t>(head_dim_) * size);
  if (!scales_) return;
  scales_.get()[to] = scales_.get()[from];
  const std::int64_t values = all_blocks_ * kKeyBlock;
  scales_.get()[values + to] = scales_.get()[values + from];
}

void KvCache::copy(std::int64_t from, std::int64_t to, std::int64_t count) {
  const std::int64_t places = blocks_ * kKeyBlock;
  for (std::int64_t begin = 0; begin < all_blocks_ * kKeyBlock; begin += places)
    for (std::int64_t i = 0; i < count; ++i) copy_place(begin + from + i, begin + to + i);
}

CellBlock KvCache::cells(std::size_t element, std::int64_t columns) const {
  const std::byte* data = bytes_.get() + element * element_bytes(type_);
  return {cell_of(type_), data, columns, data};
}

CellBlock KvCache::keys(std::int64_t layer, std::int64_t head, std::int64_t block) const {
  return cells(keys_at(block_of(layer, head, block)), kKeyBlock);
}

CellBlock KvCache::values(std::int64_t layer, std::int64_t head, std::int64_t block) const {
  return cells(values_at(block_of(layer, head, block)), width_);
}

const float* KvCache::key_scales(std::int64_t layer, std::int64_t head, std::int64_t block) const {
  return scales_ ? scales_.get() + block_of(layer, head, block) * kKeyBlock : nullptr;
}
const float* KvCache::value_scales(std::int64_t layer, std::int64_t head,
                                   std::int64_t block) const {
  return scales_ ? scales_.get() + (all_blocks_ + block_of(layer, head, block)) * kKeyBlock
                 : nullptr;
}

}  // namespace karat
