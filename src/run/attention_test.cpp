#include "run/attention.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "core/rng.h"
#include "core/threads.h"
#include "karat/error.h"
#include "run/testing.h"

namespace karat {
namespace {

std::vector<float> random_floats(std::int64_t n, Rng& rng) {
  return testing::random_floats(n, 2, rng);
}

/// Queries of one sequence whose keys lie from the cache's beginning on.
struct Queries : AttentionShape {
  Queries(std::int64_t layer_, std::int64_t heads_, std::int64_t kv_heads_, std::int64_t head_dim_,
          std::int64_t window_, std::int64_t position_, std::int64_t tokens_)
      : AttentionShape{layer_, heads_, kv_heads_, head_dim_, window_},
        position(position_),
        tokens(tokens_) {}
  std::int64_t position, tokens;
};

void attend(const KvCache& cache, const Queries& of, const float* q, float* y) {
  const QueryRun all{0, of.tokens, of.position, {{0, of.position + of.tokens, 0}}};
  attend(cache, of, {&all, 1}, q, y);
}

/// Some tokens' keys and values, plain and in a cache.
struct Context {
  Context(const Queries& shape, CacheType type, Rng& rng)
      : positions(shape.position + shape.tokens),
        keys(random_floats(positions * shape.kv_heads * shape.head_dim, rng)),
        values(random_floats(positions * shape.kv_heads * shape.head_dim, rng)),
        cache(architecture(shape), positions, type) {
    for (std::int64_t p = 0; p < positions; ++p)
      for (std::int64_t h = 0; h < shape.kv_heads; ++h) {
        const std::int64_t at = (p * shape.kv_heads + h) * shape.head_dim;
        cache.store(shape.layer, h, p, &keys[static_cast<std::size_t>(at)],
                    &values[static_cast<std::size_t>(at)]);
      }
  }
  static Architecture architecture(const AttentionShape& shape) {
    Architecture arch;
    arch.kv_heads = shape.kv_heads;
    arch.head_dim = shape.head_dim;
    arch.blocks.resize(static_cast<std::size_t>(shape.layer + 1));
    return arch;
  }
  std::int64_t positions;
  std::vector<float> keys, values;  // [positions, kv_heads, head_dim]
  KvCache cache;
};

/// attend() by the formula, in double, with all scores of a query held at once.
std::vector<double> naive(const Context& context, const Queries& s, const std::vector<float>& q) {
  std::vector<double> y(q.size());
  for (std::int64_t row = 0; row < s.tokens * s.heads; ++row) {
    const std::int64_t head = row % s.heads / (s.heads / s.kv_heads);
    const std::int64_t last = s.position + row / s.heads;
    const std::int64_t first = s.window > 0 ? std::max<std::int64_t>(0, last - s.window + 1) : 0;
    const auto at = [&](std::int64_t p, std::int64_t d) {
      return static_cast<std::size_t>((p * s.kv_heads + head) * s.head_dim + d);
    };
    const auto out = [&](std::int64_t d) { return static_cast<std::size_t>(row * s.head_dim + d); };
    double sum = 0;
    for (std::int64_t p = first; p <= last; ++p) {
      double score = 0;
      for (std::int64_t d = 0; d < s.head_dim; ++d)
        score += double(q[out(d)]) * context.keys[at(p, d)];
      const double weight = std::exp(score / std::sqrt(double(s.head_dim)));
      sum += weight;
      for (std::int64_t d = 0; d < s.head_dim; ++d) y[out(d)] += weight * context.values[at(p, d)];
    }
    for (std::int64_t d = 0; d < s.head_dim; ++d) y[out(d)] /= sum;
  }
  return y;
}

double worst_difference(const Queries& shape, CacheType type) {
  Rng rng(7);
  const Context context(shape, type, rng);
  const auto q = random_floats(shape.tokens * shape.heads * shape.head_dim, rng);
  std::vector<float> y(q.size());
  attend(context.cache, shape, q.data(), y.data());
  const auto expected = naive(context, shape, q);
  double worst = 0;
  for (std::size_t i = 0; i < y.size(); ++i) worst = std::max(worst, std::abs(y[i] - expected[i]));
  return worst;
}

TEST_CASE("blocked attention equals the formula") {
  for (const Queries& shape : {
           Queries{0, 4, 4, 16, 0, 0, 1},      // the first token
           Queries{0, 4, 2, 16, 0, 0, 200},    // a prompt over several key blocks, GQA
           Queries{1, 6, 2, 24, 0, 130, 37},   // a second prompt, second layer
           Queries{0, 8, 1, 8, 0, 191, 1},     // decode at a block's last position
           Queries{0, 8, 1, 8, 0, 192, 1},     // and at a block's first
           Queries{0, 5, 1, 20, 0, 700, 2},    // over several spans, a head of no eights
           Queries{0, 4, 2, 16, 5, 0, 150},    // a window inside a block
           Queries{0, 4, 2, 16, 100, 60, 150}  // a window over blocks
       }) {
    CAPTURE(shape.tokens);
    CAPTURE(shape.window);
    Queries independent = shape;
    independent.independent = true;
    CHECK(worst_difference(independent, CacheType::f32) < 2e-6);
    CHECK(worst_difference(shape, CacheType::f32) < 2e-6);
    CHECK(worst_difference(shape, CacheType::f16) < 4e-3);
    CHECK(worst_difference(shape, CacheType::q8) < 4e-2);
  }
}

TEST_CASE("attention does not depend on the threads") {
  for (const Queries& shape : {
           Queries{0, 4, 2, 16, 0, 30, 100},
           Queries{0, 8, 4, 16, 0, 1500, 1},  // by heads with one thread, else by keys as well
       }) {
    Rng rng(3);
    const Context context(shape, CacheType::f32, rng);
    const auto q = random_floats(shape.tokens * shape.heads * shape.head_dim, rng);
    std::vector<float> one(q.size()), three(q.size());
    const auto attend_on = [&](int threads, std::vector<float>& y) {
      const ThreadScope scope(threads);
      attend(context.cache, shape, q.data(), y.data());
    };
    attend_on(1, one);
    attend_on(3, three);
    CHECK(one == three);
  }
}

TEST_CASE("a cache of 8 bits does not hide what is not finite") {
  const Queries shape{0, 2, 1, 8, 0, 0, 3};
  Rng rng(5);
  Context context(shape, CacheType::q8, rng);
  const std::vector<float> good(8, 1.0f), bad = {1, 2, NAN, 4, 5, 6, 7, 8};
  const auto q = random_floats(shape.tokens * shape.heads * shape.head_dim, rng);
  std::vector<float> y(q.size());
  for (const bool key : {true, false}) {
    context.cache.store(0, 0, 1, key ? bad.data() : good.data(), key ? good.data() : bad.data());
    attend(context.cache, shape, q.data(), y.data());
    CHECK(std::isnan(y[2 * 8]));  // the second token sees it
  }
}

TEST_CASE("caches are named, and their bytes counted") {
  CHECK(parse_cache_type("q8") == CacheType::q8);
  CHECK_THROWS_WITH_AS(parse_cache_type("q4"), doctest::Contains("f32, f16 or q8"), Error);
  const Architecture arch = Context::architecture({1, 4, 2, 20});
  CHECK(cache_bytes_per_token(arch, CacheType::f16) == 2 * 2 * (20 + 24) * 2);
  CHECK(cache_bytes_per_token(arch, CacheType::q8) == 2 * 2 * (20 + 24 + 8));
}

TEST_CASE("a cache whose size overflows is refused before memory is taken") {
  Architecture arch;
  arch.kv_heads = 1 << 30;
  arch.head_dim = 1 << 30;
  arch.blocks.resize(4);
  CHECK_THROWS_WITH_AS(KvCache(arch, 1000, CacheType::f32),
                       doctest::Contains("key-value cache: got 1000 positions"), Error);
}

}  // namespace
}  // namespace karat
