#include "run/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "core/threads.h"
#include "kernel/kernel.h"

namespace karat {
namespace {

constexpr std::int64_t kQueryBlock = 16;  // tokens whose heads share one pass over the keys
constexpr std::int64_t kSpanBlocks = kSpanPlaces / kKeyBlock;
constexpr std::int64_t kSpan = kSpanPlaces;
constexpr float kNever = -std::numeric_limits<float>::infinity();

struct Span {
  std::int64_t begin, end;
};

/// Places of the cache, out of one span, that the query at `position` sees.
Span visible(const AttentionShape& shape, const KeySpan& keys, std::int64_t position) {
  const std::int64_t length = keys.end - keys.begin;
  const std::int64_t from = shape.window > 0 ? position - shape.window + 1 : 0;
  return {keys.begin + std::clamp<std::int64_t>(from - keys.position, 0, length),
          keys.begin + std::clamp<std::int64_t>(position + 1 - keys.position, 0, length)};
}

/// Blocks [begin, end) of places, at most kSpanBlocks, as far as they belong to `keys` and lie
/// before the place `last`.
struct Stretch {
  const KeySpan* keys;
  std::int64_t begin, end, last;
};

/// Of rows of queries and some keys: Σ exp(score − top) · value and Σ exp(score − top), top being
/// the row's largest score, −infinity where it sees none of the keys.
struct Sums {
  Sums(std::int64_t rows, std::int64_t width)
      : values(static_cast<std::size_t>(rows * width)), of(static_cast<std::size_t>(rows)) {
    for (ExpSum& one : of) one = {kNever, 0};
  }

  void add(const Sums& more) {
    const std::size_t width = values.size() / of.size();
    for (std::size_t row = 0; row < of.size(); ++row) {
      ExpSum& old = of[row];
      const ExpSum& add = more.of[row];
      if (add.top == kNever) continue;
      const float top = std::max(old.top, add.top);
      const float keep = std::exp(old.top - top), take = std::exp(add.top - top);
      old = {top, keep * old.sum + take * add.sum};
      for (std::size_t i = row * width; i < (row + 1) * width; ++i)
        values[i] = keep * values[i] + take * more.values[i];
    }
  }

  std::vector<float> values;  // [rows, width]
  std::vector<ExpSum> of;     // [rows]
};

/// The queries of some tokens of a run and one key-value head: a row per token and query head.
class Tile {
 public:
  Tile(const KvCache& cache, const AttentionShape& shape, const QueryRun& run, std::int64_t kv_head,
       Span tokens)
      : cache_(cache),
        shape_(shape),
        run_(run),
        kv_head_(kv_head),
        group_(shape.heads / shape.kv_heads),
        width_(cache.width()),
        tokens_(tokens),
        rows_((tokens.end - tokens.begin) * group_) {}

  /// All keys that the queries see, in order.
  std::vector<Stretch> stretches() const {
    std::vector<Stretch> found;
    for (const KeySpan& keys : run_.keys) {
      const std::int64_t first = visible(shape_, keys, position(tokens_.begin)).begin;
      const std::int64_t last = visible(shape_, keys, position(tokens_.end - 1)).end;
      if (first >= last) continue;
      const std::int64_t stop = (last + kKeyBlock - 1) / kKeyBlock;
      std::int64_t begin = first / kKeyBlock;
      if (shape_.independent) begin -= (begin - keys.begin / kKeyBlock) % kSpanBlocks;
      for (std::int64_t b = begin; b < stop; b += kSpanBlocks)
        found.push_back({&keys, b, std::min(b + kSpanBlocks, stop), last});
    }
    return found;
  }

  /// [rows, width]: the rows of q, scaled.
  std::vector<float> queries(const float* q) const {
    const float scale =
        shape_.scale != 0 ? shape_.scale : 1 / std::sqrt(static_cast<float>(shape_.head_dim));
    std::vector<float> scaled(static_cast<std::size_t>(rows_ * width_));
    for (std::int64_t row = 0; row < rows_; ++row)
      for (std::int64_t d = 0; d < shape_.head_dim; ++d)
        scaled[static_cast<std::size_t>(row * width_ + d)] = q[place(row) + d] * scale;
    return scaled;
  }

  Sums none() const { return {rows_, width_}; }

  Sums over(const KernelSet& set, const Stretch& keys, const std::vector<float>& queries) const {
    Sums sums = none();
    std::vector<float> scores(static_cast<std::size_t>(rows_ * kSpan));
    for (std::int64_t b = keys.begin; b < keys.end; ++b) {
      float* of_block = &scores[static_cast<std::size_t>((b - keys.begin) * kKeyBlock)];
      CellBlock cells = cache_.keys(shape_.layer, kv_head_, b);
      cells.next = b + 1 < keys.end ? cache_.keys(shape_.layer, kv_head_, b + 1).data
                                    : cache_.values(shape_.layer, kv_head_, keys.begin).data;
      set.multiply_add(cells, shape_.head_dim, rows_, queries.data(), width_, of_block, kSpan);
      scale(of_block, cache_.key_scales(shape_.layer, kv_head_, b));
    }
    for (std::int64_t row = 0; row < rows_; ++row)
      sums.of[static_cast<std::size_t>(row)] =
          exponentials(set, row, keys, &scores[static_cast<std::size_t>(row * kSpan)]);
    for (std::int64_t b = keys.begin; b < keys.end; ++b) {
      float* of_block = &scores[static_cast<std::size_t>((b - keys.begin) * kKeyBlock)];
      scale(of_block, cache_.value_scales(shape_.layer, kv_head_, b));
      CellBlock cells = cache_.values(shape_.layer, kv_head_, b);
      if (b + 1 < keys.end)
        cells.next = cache_.values(shape_.layer, kv_head_, b + 1).data;
      else if (keys.end * kKeyBlock < keys.last)
        cells.next = cache_.keys(shape_.layer, kv_head_, keys.end).data;
      set.multiply_add(cells, std::min(kKeyBlock, keys.last - b * kKeyBlock), rows_, of_block,
                       kSpan, sums.values.data(), width_);
    }
    return sums;
  }

  void write(const Sums& sums, float* y) const {
    for (std::int64_t row = 0; row < rows_; ++row) {
      const float factor = 1 / sums.of[static_cast<std::size_t>(row)].sum;
      for (std::int64_t d = 0; d < shape_.head_dim; ++d)
        y[place(row) + d] = sums.values[static_cast<std::size_t>(row * width_ + d)] * factor;
    }
  }

 private:
  std::int64_t token(std::int64_t row) const { return tokens_.begin + row / group_; }
  std::int64_t position(std::int64_t token) const { return run_.position + token - run_.first; }
  std::int64_t place(std::int64_t row) const {
    return (token(row) * shape_.heads + kv_head_ * group_ + row % group_) * shape_.head_dim;
  }

  /// Multiplies a block's scores of every row by what its positions' cells stand for.
  void scale(float* scores, const float* factors) const {
    if (factors == nullptr) return;
    for (std::int64_t row = 0; row < rows_; ++row, scores += kSpan)
      for (std::int64_t p = 0; p < kKeyBlock; ++p) scores[p] *= factors[p];
  }

  /// A row's scores become exponentials where it sees the places, and 0 elsewhere.
  ExpSum exponentials(const KernelSet& set, std::int64_t row, const Stretch& keys,
                      float* score) const {
    const Span seen = visible(shape_, *keys.keys, position(token(row)));
    const std::int64_t first = keys.begin * kKeyBlock, length = keys.end * kKeyBlock - first;
    const std::int64_t begin = std::clamp<std::int64_t>(seen.begin - first, 0, length);
    const std::int64_t end = std::clamp<std::int64_t>(seen.end - first, 0, length);
    if (begin >= end) {
      std::fill_n(score, length, 0.0f);
      return {kNever, 0};
    }
    std::fill_n(score, begin, 0.0f);
    std::fill_n(score + end, length - end, 0.0f);
    if (shape_.cap > 0)
      for (std::int64_t i = begin; i < end; ++i)
        score[i] = shape_.cap * std::tanh(score[i] / shape_.cap);
    if (!shape_.slopes.empty()) {
      const float slope = shape_.slopes[static_cast<std::size_t>(kv_head_ * group_ + row % group_)];
      // of the first of them from the query; negative, and 0 at the query itself
      const std::int64_t from =
          keys.keys->position + first - keys.keys->begin - position(token(row));
      for (std::int64_t i = begin; i < end; ++i) score[i] += slope * static_cast<float>(from + i);
    }
    return set.exponentials(score + begin, end - begin);
  }

  const KvCache& cache_;
  const AttentionShape& shape_;
  const QueryRun& run_;
  std::int64_t kv_head_, group_, width_;
  Span tokens_;
  std::int64_t rows_;
};

std::vector<Tile> tiles_of(const KvCache& cache, const AttentionShape& shape,
                           std::span<const QueryRun> runs) {
  std::vector<Tile> tiles;
  for (const QueryRun& run : runs)
    for (std::int64_t t = 0; t < run.tokens; t += kQueryBlock)
      for (std::int64_t head = 0; head < shape.kv_heads; ++head)
        tiles.emplace_back(cache, shape, run, head,
                           Span{run.first + t, run.first + std::min(t + kQueryBlock, run.tokens)});
  return tiles;
}

/// Each tile is one thread's work.
void attend_by_tiles(std::span<const Tile> tiles, const float* q, float* y) {
  const KernelSet& set = kernels();
  parallel_for(static_cast<std::int64_t>(tiles.size()), 1, [&](std::int64_t begin, std::int64_t) {
    const Tile& tile = tiles[static_cast<std::size_t>(begin)];
    const std::vector<float> queries = tile.queries(q);
    Sums sums = tile.none();
    for (const Stretch& keys : tile.stretches()) sums.add(tile.over(set, keys, queries));
    tile.write(sums, y);
  });
}

/// Each stretch of keys is: a few tiles of long contexts, as one decoded token has, would leave
/// threads without work. Their sums are added in the same order, so the result is the same.
void attend_by_stretches(std::span<const Tile> tiles, const float* q, float* y) {
  const KernelSet& set = kernels();
  struct Piece {
    const Tile* tile;
    Stretch keys;
  };
  std::vector<Piece> pieces;
  for (const Tile& tile : tiles)
    for (const Stretch& keys : tile.stretches()) pieces.push_back({&tile, keys});
  std::vector<std::optional<Sums>> found(pieces.size());
  parallel_for(static_cast<std::int64_t>(pieces.size()), 1, [&](std::int64_t begin, std::int64_t) {
    const auto& [tile, keys] = pieces[static_cast<std::size_t>(begin)];
    found[static_cast<std::size_t>(begin)] = tile->over(set, keys, tile->queries(q));
  });
  for (std::size_t i = 0; i < pieces.size();) {
    const Tile* tile = pieces[i].tile;
    Sums sums = tile->none();
    for (; i < pieces.size() && pieces[i].tile == tile; ++i) sums.add(*found[i]);
    tile->write(sums, y);
  }
}

}  // namespace

void attend(const KvCache& cache, const AttentionShape& shape, std::span<const QueryRun> runs,
            const float* q, float* y) {
  constexpr std::size_t kShare = 4;  // tiles of a thread that keep all threads busy
  const std::vector<Tile> tiles = tiles_of(cache, shape, runs);
  if (tiles.size() < kShare * static_cast<std::size_t>(thread_count()))
    attend_by_stretches(tiles, q, y);
  else
    attend_by_tiles(tiles, q, y);
}

}  // namespace karat
