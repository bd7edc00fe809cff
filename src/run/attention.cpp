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
  Tile(const AttentionShape& shape, const QueryRun& run, std::int64_t kv_head, Span tokens)
      : shape_(shape),
        run_(run),
        group_(shape.heads / shape.kv_heads),
        first_head_(kv_head * group_),
        tokens_(tokens),
        rows_((tokens.end - tokens.begin) * group_) {
    const auto values = static_cast<std::size_t>(rows_ * shape.head_dim);
    queries_.resize(values);
    result_.resize(values);
    block_.resize(values);
    scores_.resize(static_cast<std::size_t>(rows_ * kKeyBlock));
    log_sums_.assign(static_cast<std::size_t>(rows_), kNever);
  }

  void read(const float* q) {
    const float scale = 1 / std::sqrt(static_cast<float>(shape_.head_dim));
    for (std::int64_t row = 0; row < rows_; ++row)
      for (std::int64_t d = 0; d < shape_.head_dim; ++d)
        queries_[at(row) + static_cast<std::size_t>(d)] = q[place(row) + d] * scale;
  }
  void write(float* y) const {
    for (std::int64_t row = 0; row < rows_; ++row)
      std::copy_n(&result_[at(row)], shape_.head_dim, y + place(row));
  }

  /// Takes in every key and value that the tile's queries see.
  void add(const KernelSet& set, const KvCache& cache, std::int64_t head) {
    for (const KeySpan& span : run_.keys) {
      const Span seen{visible(shape_, span, position(tokens_.begin)).begin,
                      visible(shape_, span, position(tokens_.end - 1)).end};
      for (std::int64_t b = seen.begin / kKeyBlock;
           seen.begin < seen.end && b * kKeyBlock < seen.end; ++b)
        add(set, cache.keys(shape_.layer, head, b), cache.values(shape_.layer, head, b), span, b);
    }
  }

 private:
  /// Takes in the keys and values of one block of places, as far as they belong to `span`.
  void add(const KernelSet& set, const MatrixView& keys, const MatrixView& values,
           const KeySpan& span, std::int64_t block) {
    set.matmul(keys, {queries_.data(), rows_, nullptr}, scores_.data(), 0, keys.out);
    std::vector<float> log_sum(static_cast<std::size_t>(rows_));
    for (std::int64_t row = 0; row < rows_; ++row)
      log_sum[static_cast<std::size_t>(row)] = normalize(set, row, span, block * kKeyBlock);
    set.matmul(values, {scores_.data(), rows_, nullptr}, block_.data(), 0, values.out);
    for (std::int64_t row = 0; row < rows_; ++row)
      merge(row, log_sum[static_cast<std::size_t>(row)]);
  }

  std::size_t at(std::int64_t row) const { return static_cast<std::size_t>(row * shape_.head_dim); }
  std::int64_t token(std::int64_t row) const { return tokens_.begin + row / group_; }
  std::int64_t position(std::int64_t token) const { return run_.position + token - run_.first; }
  std::int64_t place(std::int64_t row) const {
    return (token(row) * shape_.heads + first_head_ + row % group_) * shape_.head_dim;
  }

  /// Softmax of a row's scores over the places it sees from `start` on; returns their log-sum-exp,
  /// −infinity where it sees none. The largest probability is exp(0)/Σ.
  float normalize(const KernelSet& set, std::int64_t row, const KeySpan& span, std::int64_t start) {
    const Span seen = visible(shape_, span, position(token(row)));
    const std::int64_t begin = std::clamp<std::int64_t>(seen.begin - start, 0, kKeyBlock);
    const std::int64_t end = std::clamp<std::int64_t>(seen.end - start, 0, kKeyBlock);
    float* score = &scores_[static_cast<std::size_t>(row * kKeyBlock)];
    if (begin >= end) {
      std::fill_n(score, kKeyBlock, 0.0f);
      return kNever;
    }
    std::fill_n(score, begin, kNever);
    std::fill_n(score + end, kKeyBlock - end, kNever);
    const float* largest = std::max_element(score + begin, score + end);
    const float maximum = *largest;
    set.softmax(score, kKeyBlock);
    return maximum - std::log(*largest);
  }

  void merge(std::int64_t row, float log_sum) {
    float& old = log_sums_[static_cast<std::size_t>(row)];
    if (log_sum == kNever) return;
    const float larger = std::max(old, log_sum);
    const float total = larger + std::log(std::exp(old - larger) + std::exp(log_sum - larger));
    const float keep = std::exp(old - total), take = std::exp(log_sum - total);
    for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
      const std::size_t i = at(row) + static_cast<std::size_t>(d);
      result_[i] = keep * result_[i] + take * block_[i];
    }
    old = total;
  }

  const AttentionShape& shape_;
  const QueryRun& run_;
  std::int64_t group_, first_head_;
  Span tokens_;
  std::int64_t rows_;
  std::vector<float> queries_, result_, block_;  // [rows, head_dim]
  std::vector<float> scores_;                    // [rows, kKeyBlock]
  std::vector<float> log_sums_;                  // [rows], of the positions taken in so far
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
      Tile tile(shape, *part.run, head, part.tokens);
      tile.read(q);
      tile.add(set, cache, head);
      tile.write(y);
    }
  });
}

void attend(const KvCache& cache, const AttentionShape& shape, const float* q, float* y) {
  const QueryRun all{0, shape.tokens, shape.position, {{0, shape.position + shape.tokens, 0}}};
  attend(cache, shape, {&all, 1}, q, y);
}

}  // namespace karat
