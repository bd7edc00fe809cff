#include "run/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
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
        rows_((tokens.end - tokens.begin) * group_) {
    const auto values = static_cast<std::size_t>(rows_ * width_);
    queries_.resize(values);
    result_.resize(values);
    part_.resize(values);
    scores_.resize(static_cast<std::size_t>(rows_ * kSpan));
    log_sums_.assign(static_cast<std::size_t>(rows_), kNever);
  }

  void read(const float* q) {
    const float scale =
        shape_.scale != 0 ? shape_.scale : 1 / std::sqrt(static_cast<float>(shape_.head_dim));
    for (std::int64_t row = 0; row < rows_; ++row)
      for (std::int64_t d = 0; d < shape_.head_dim; ++d)
        queries_[at(row) + static_cast<std::size_t>(d)] = q[place(row) + d] * scale;
  }
  void write(float* y) const {
    for (std::int64_t row = 0; row < rows_; ++row)
      std::copy_n(&result_[at(row)], shape_.head_dim, y + place(row));
  }

  /// Takes in every key and value that the tile's queries see.
  void add(const KernelSet& set) {
    for (const KeySpan& keys : run_.keys) {
      const std::int64_t first = visible(shape_, keys, position(tokens_.begin)).begin;
      const std::int64_t last = visible(shape_, keys, position(tokens_.end - 1)).end;
      if (first >= last) continue;
      const std::int64_t stop = (last + kKeyBlock - 1) / kKeyBlock;
      std::int64_t begin = first / kKeyBlock;
      if (shape_.independent) begin -= (begin - keys.begin / kKeyBlock) % kSpanBlocks;
      for (std::int64_t b = begin; b < stop; b += kSpanBlocks)
        add(set, keys, b, std::min(b + kSpanBlocks, stop), last);
    }
  }

 private:
  /// Takes in blocks [begin, end), at most kSpanBlocks, as far as they belong to `keys` and are
  /// before the place `last`.
  void add(const KernelSet& set, const KeySpan& keys, std::int64_t begin, std::int64_t end,
           std::int64_t last) {
    std::fill(scores_.begin(), scores_.end(), 0.0f);
    std::fill(part_.begin(), part_.end(), 0.0f);
    for (std::int64_t b = begin; b < end; ++b) {
      float* scores = &scores_[static_cast<std::size_t>((b - begin) * kKeyBlock)];
      set.multiply_add(cache_.keys(shape_.layer, kv_head_, b), shape_.head_dim, rows_,
                       queries_.data(), width_, scores, kSpan);
      scale(scores, cache_.key_scales(shape_.layer, kv_head_, b));
    }
    std::vector<float> log_sum(static_cast<std::size_t>(rows_));
    for (std::int64_t row = 0; row < rows_; ++row)
      log_sum[static_cast<std::size_t>(row)] =
          normalize(set, row, keys, {begin * kKeyBlock, end * kKeyBlock});
    for (std::int64_t b = begin; b < end; ++b) {
      float* scores = &scores_[static_cast<std::size_t>((b - begin) * kKeyBlock)];
      scale(scores, cache_.value_scales(shape_.layer, kv_head_, b));
      set.multiply_add(cache_.values(shape_.layer, kv_head_, b),
                       std::min(kKeyBlock, last - b * kKeyBlock), rows_, scores, kSpan,
                       part_.data(), width_);
    }
    for (std::int64_t row = 0; row < rows_; ++row)
      merge(row, log_sum[static_cast<std::size_t>(row)]);
  }

  std::size_t at(std::int64_t row) const { return static_cast<std::size_t>(row * width_); }
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

  /// Softmax of a row's scores over the places of `span` that it sees; returns their log-sum-exp,
  /// −infinity where it sees none.
  float normalize(const KernelSet& set, std::int64_t row, const KeySpan& keys, Span span) {
    const Span seen = visible(shape_, keys, position(token(row)));
    const std::int64_t length = span.end - span.begin;
    const std::int64_t begin = std::clamp<std::int64_t>(seen.begin - span.begin, 0, length);
    const std::int64_t end = std::clamp<std::int64_t>(seen.end - span.begin, 0, length);
    float* score = &scores_[static_cast<std::size_t>(row * kSpan)];
    if (begin >= end) {
      std::fill_n(score, length, 0.0f);
      return kNever;
    }
    std::fill_n(score, begin, 0.0f);
    std::fill_n(score + end, length - end, 0.0f);
    return set.softmax(score + begin, end - begin);
  }

  void merge(std::int64_t row, float log_sum) {
    float& old = log_sums_[static_cast<std::size_t>(row)];
    if (log_sum == kNever) return;
    const float larger = std::max(old, log_sum);
    const float total = larger + std::log(std::exp(old - larger) + std::exp(log_sum - larger));
    const float keep = std::exp(old - total), take = std::exp(log_sum - total);
    for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
      const std::size_t i = at(row) + static_cast<std::size_t>(d);
      result_[i] = keep * result_[i] + take * part_[i];
    }
    old = total;
  }

  const KvCache& cache_;
  const AttentionShape& shape_;
  const QueryRun& run_;
  std::int64_t kv_head_, group_, width_;
  Span tokens_;
  std::int64_t rows_;
  std::vector<float> queries_, result_, part_;  // [rows, width]
  std::vector<float> scores_;                   // [rows, kSpan]
  std::vector<float> log_sums_;                 // [rows], of the positions taken in so far
};

}  // namespace

void attend(const KvCache& cache, const AttentionShape& shape, std::span<const QueryRun> runs,
            const float* q, float* y) {
  const KernelSet& set = kernels();
  struct Part {
    const QueryRun* run;
    Span tokens;
  };
  std::vector<Part> parts;
  for (const QueryRun& run : runs)
    for (std::int64_t t = 0; t < run.tokens; t += kQueryBlock)
      parts.push_back({&run, {run.first + t, run.first + std::min(t + kQueryBlock, run.tokens)}});
  const auto items = static_cast<std::int64_t>(parts.size()) * shape.kv_heads;
  parallel_for(items, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t item = begin; item < end; ++item) {
      const Part& part = parts[static_cast<std::size_t>(item / shape.kv_heads)];
      const std::int64_t head = item % shape.kv_heads;
      Tile tile(cache, shape, *part.run, head, part.tokens);
      tile.read(q);
      tile.add(set);
      tile.write(y);
    }
  });
}

}  // namespace karat
