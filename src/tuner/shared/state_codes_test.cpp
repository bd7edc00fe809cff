#include "tuner/shared/state_codes.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

namespace karat {
namespace {

constexpr auto kNearest = StateRounding::nearest;
constexpr auto kStochastic = StateRounding::stochastic;

TEST_CASE("codes of any width lie one after the other") {
  for (int bits = 1; bits <= 8; ++bits) {
    std::vector<std::uint8_t> codes;
    Rng rng(static_cast<std::uint64_t>(bits));
    for (int i = 0; i < 77; ++i)
      codes.push_back(static_cast<std::uint8_t>(rng.below(std::uint64_t{1} << bits)));
    const auto packed = packed_codes(codes, bits);
    CHECK(packed.numel() == (77 * bits + 7) / 8);
    CHECK(unpacked_codes(packed, 77, bits) == codes);
  }
  const auto two = packed_codes(std::vector<std::uint8_t>{1, 0, 3, 2}, 2);
  CHECK(two.item<std::uint8_t>() == 0b10110001);
}

TEST_CASE("the dynamic exponent map of four bits") {
  const std::vector<double> positive = {0.0055, 0.0325, 0.0775, 0.2125, 0.4375, 0.6625, 0.8875, 1};
  const std::vector<double> map = dynamic_exponent_map(4);
  REQUIRE(map.size() == 16);
  CHECK(map[7] == 0);
  for (std::size_t i = 0; i < 8; ++i) CHECK(map[8 + i] == doctest::Approx(positive[i]));
  for (std::size_t i = 0; i < 7; ++i) CHECK(map[6 - i] == doctest::Approx(-positive[i]));
  CHECK(dynamic_exponent_map(8).size() == 256);
}

TEST_CASE("signed numbers: a block's extreme stays, zero stays, and a draw is right in the mean") {
  auto x = torch::tensor({0.3f, -2.0f, 0.0f, 0.9f, 1.4f, -0.001f});
  const auto once = [&](StateRounding rounding, std::uint64_t seed) {
    return decode_signed(encode_signed(x, 4, rounding, Rng(seed)), 4, x);
  };
  const auto near = once(kNearest, 1);
  CHECK(near[1].item<float>() == -2.0f);
  CHECK(near[2].item<float>() == 0.0f);
  CHECK(near[4].item<float>() == doctest::Approx(2 * 0.6625));
  auto sum = torch::zeros_like(x);
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) sum += once(kStochastic, static_cast<std::uint64_t>(i));
  CHECK(torch::allclose(sum / kDraws, x, 0, 0.008));
  CHECK((near - x).abs().max().item<double>() > 0.03);
  CHECK(torch::equal(once(kStochastic, 9), once(kStochastic, 9)));
}

TEST_CASE("the logarithmic grid covers a block from its quantile to its largest number") {
  torch::manual_seed(3);
  const auto x = torch::randn({3, 100}).square();  // two blocks and a part of one
  const auto state = encode_unsigned(x, 2, 0.1, kNearest, Rng(1));
  CHECK(state.codes.numel() == 75);
  REQUIRE(state.stats.sizes() == torch::IntArrayRef({3, 2}));
  const auto flat = x.flatten();
  const auto decoded = decode_unsigned(state, 2, x).flatten();
  for (std::int64_t b = 0; b < 3; ++b) {
    const auto block = flat.slice(0, b * 128, std::min<std::int64_t>(300, b * 128 + 128));
    const auto rounded = decoded.slice(0, b * 128, std::min<std::int64_t>(300, b * 128 + 128));
    const auto sorted = std::get<0>(block.sort());
    const double largest = sorted[-1].item<double>();
    const double low = sorted[(block.numel() - 1) / 10].item<double>();
    const double a = state.stats[b][1].item<double>();
    CHECK(state.stats[b][0].item<double>() == doctest::Approx(largest));
    CHECK(a * a * a == doctest::Approx(low / largest).epsilon(1e-5));
    CHECK(rounded.max().item<double>() == doctest::Approx(largest));
    CHECK(rounded.min().item<double>() == doctest::Approx(low).epsilon(1e-5));
    const auto inside = block >= low;  // no farther than half a step of the exponent
    const auto apart = (rounded / block).log().abs().masked_select(inside);
    CHECK(apart.max().item<double>() <= -std::log(a) / 2 + 1e-5);
  }
}

TEST_CASE("a decay by a power of the ratio moves every code by one, without error") {
  const auto x = torch::tensor({1.0f, 0.5f, 0.25f, 0.125f});
  const auto before = encode_unsigned(x, 2, 0, kNearest, Rng(1));
  CHECK(torch::allclose(decode_unsigned(before, 2, x), x, 1e-6));
  // Beside a number that keeps the scale, β = a: each code is one more.
  const auto decayed = torch::tensor({1.0f, 0.5f, 0.25f, 0.125f}).mul_(0.5).index_put_({3}, 1.0f);
  const auto state = encode_unsigned(decayed, 2, 0, kNearest, Rng(1));
  CHECK(torch::allclose(decode_unsigned(state, 2, x), decayed, 1e-6));
}

TEST_CASE("exponents are right in the mean, and what is below the grid has its last code") {
  const auto x = torch::tensor({1.0f, 0.3f, 0.02f, 0.008f, 0.0f});
  auto sum = torch::zeros({5});
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const auto state = encode_unsigned(x, 2, 0, kStochastic, Rng(static_cast<std::uint64_t>(i)));
    sum += decode_unsigned(state, 2, x).log();
  }
  const auto mean = sum / kDraws;
  CHECK(torch::allclose(mean.narrow(0, 0, 4), x.narrow(0, 0, 4).log(), 0, 0.02));
  CHECK(mean[4].item<float>() == doctest::Approx(std::log(0.008)).epsilon(1e-3));
  const auto none = torch::zeros({130});
  CHECK(decode_unsigned(encode_unsigned(none, 2, 0.1, kStochastic, Rng(1)), 2, none)
            .abs()
            .max()
            .item<float>() == 0);
  const auto same = torch::full({130}, 3.0f);
  CHECK(torch::equal(decode_unsigned(encode_unsigned(same, 2, 0.1, kStochastic, Rng(1)), 2, same),
                     same));
}

/// The second moments of a block as `keep` leaves them from step to step: one with g² = 100
/// throughout, the others with g² of mean 1 after they began at 50. Their mean, in the end.
template <typename Keep>
double mean_after(int steps, const Keep& keep) {
  auto v = torch::full({128}, 50.0f);
  torch::manual_seed(4);
  for (int i = 0; i < steps; ++i) {
    auto squares = torch::randn({128}).square();
    squares[0] = 100;
    v = keep(v * 0.99 + squares * 0.01, i);
  }
  return v.narrow(0, 1, 127).mean().item<double>();
}

TEST_CASE("signal swamping: what a step takes away is lost on a linear grid") {
  const double exact = mean_after(1500, [](const torch::Tensor& v, int) { return v; });
  CHECK(exact == doctest::Approx(1).epsilon(0.1));
  const double linear = mean_after(1500, [](const torch::Tensor& v, int) {
    const auto step = v.max() / 3;  // four values from 0 to the largest
    return (v / step).round() * step;
  });
  const double drawn = mean_after(1500, [](const torch::Tensor& v, int i) {
    const Rng draws(static_cast<std::uint64_t>(i));
    return decode_unsigned(encode_unsigned(v, 2, 0.1, kStochastic, draws), 2, v);
  });
  MESSAGE("second moments of g² = 1: exact ", exact, ", linear ", linear, ", log drawn ", drawn);
  CHECK(linear > 40);  // where it began
  CHECK(drawn < 5);    // draws of an exponent make large what is large: more than 1
  CHECK(drawn > 0.5);
}

}  // namespace
}  // namespace karat
