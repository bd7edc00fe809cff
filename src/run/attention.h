// Causal attention over the key-value cache.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "run/kv_cache.h"

namespace karat {

inline constexpr std::int64_t kSpanPlaces = 4 * kKeyBlock;  // places whose scores are made at once

struct AttentionShape {
  std::int64_t layer = 0;
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
  std::int64_t window = 0;             // attends to the last `window` positions; 0: all
  float scale = 0;                     // of q kᵀ; 0: 1/√head_dim
  float cap = 0;                       // of scores, as Architecture::score_cap
  std::span<const float> slopes = {};  // [heads] of distances, or empty
  /// What a query gives does not depend on which others go with it, to the last bit: scores are
  /// made at once for every kSpanPlaces places of a span from its beginning, which is a whole
  /// block. Otherwise from the first place that one of the queries sees.
  bool independent = false;
};

/// Cache places begin … end − 1 hold the keys and values of consecutive positions from `position`.
struct KeySpan {
  std::int64_t begin = 0, end = 0, position = 0;
};
/// Queries of consecutive positions of one sequence, which sees the keys of some spans and no
/// other.
struct QueryRun {
  std::int64_t first = 0, tokens = 0;  // rows of q
  std::int64_t position = 0;           // of the first query
  std::vector<KeySpan> keys;           // a query sees those of its own position and before; the
                                       // last span has the queries' own
};
/// y [tokens, heads, head_dim] = softmax(cap(scale · q kᵀ) − slope · distance) v for q of the same
/// shape, whose keys and values are in the cache already, of sequences that share it. Scores exist
/// for some blocks of keys at a time, whose exponentials are merged by their largest score (Milakov
/// and Gimelshein 2018; Rabe and Staats 2021).
void attend(const KvCache& cache, const AttentionShape& shape, std::span<const QueryRun> runs,
            const float* q, float* y);

}  // namespace karat
