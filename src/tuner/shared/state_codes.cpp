#include "tuner/shared/state_codes.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace karat {
namespace {

using Codes = std::vector<std::uint8_t>;

std::int64_t blocks_of(std::int64_t n) {
  return (n + kStateBlock - 1) / kStateBlock;
}

/// Calls body(block, first, values) for every block of x, F32.
template <typename Body>
void for_each_block(const torch::Tensor& x, const Body& body) {
  const auto flat = x.contiguous();
  const std::span values(flat.data_ptr<float>(), static_cast<std::size_t>(flat.numel()));
  for (std::int64_t b = 0; b < blocks_of(flat.numel()); ++b) {
    const auto first = static_cast<std::size_t>(b * kStateBlock);
    const auto count = std::min<std::size_t>(kStateBlock, values.size() - first);
    body(b, first, values.subspan(first, count));
  }
}

/// The whole number at or beside `at`, within [0, last].
int whole(double at, int last, StateRounding rounding, Rng& draws) {
  const double shift = rounding == StateRounding::nearest ? 0.5 : draws.uniform();
  return static_cast<int>(std::clamp(std::floor(at + shift), 0.0, static_cast<double>(last)));
}

/// Where t lies in the ascending list, a fraction between two places.
double place_in(const std::vector<double>& list, double t) {
  if (t <= list.front()) return 0;
  if (t >= list.back()) return static_cast<double>(list.size() - 1);
  const auto above = std::upper_bound(list.begin(), list.end(), t);
  const double low = above[-1], high = above[0];
  return static_cast<double>(above - list.begin() - 1) + (t - low) / (high - low);
}

/// The entry of largest magnitude, with its sign.
float extreme_of(std::span<const float> values) {
  float extreme = 0;
  for (const float value : values)
    if (std::abs(value) > std::abs(extreme)) extreme = value;
  return extreme;
}

/// The largest number, and the ratio a of neighbouring values; 1 where all are equal.
std::array<float, 2> log_grid(std::span<const float> values, int last, double quantile) {
  std::vector<float> above;
  for (const float value : values)
    if (value > 0) above.push_back(value);
  if (above.empty()) return {0, 1};
  const float largest = *std::max_element(above.begin(), above.end());
  const auto at =
      above.begin() + static_cast<std::ptrdiff_t>(quantile * static_cast<double>(above.size() - 1));
  std::nth_element(above.begin(), at, above.end());
  const double low = static_cast<double>(*at) / static_cast<double>(largest);
  return {largest, static_cast<float>(std::pow(low, 1.0 / last))};
}

}  // namespace

StateRounding state_rounding(Options& options, StateRounding otherwise, const std::string& what) {
  const bool nearest = otherwise == StateRounding::nearest;
  const std::string chosen = options.choice("rounding", nearest ? "nearest" : "stochastic",
                                            {"nearest", "stochastic"}, what);
  return chosen == "nearest" ? StateRounding::nearest : StateRounding::stochastic;
}

torch::Tensor packed_codes(std::span<const std::uint8_t> codes, int bits) {
  const auto n = static_cast<std::int64_t>(codes.size());
  auto packed = torch::zeros({(n * bits + 7) / 8}, torch::kUInt8);
  auto* bytes = packed.data_ptr<std::uint8_t>();
  std::int64_t bit = 0;
  for (const std::uint8_t code : codes) {
    const unsigned shifted = static_cast<unsigned>(code) << (bit % 8);
    bytes[bit / 8] |= static_cast<std::uint8_t>(shifted);
    if (shifted > 0xff) bytes[bit / 8 + 1] |= static_cast<std::uint8_t>(shifted >> 8);
    bit += bits;
  }
  return packed;
}

std::vector<std::uint8_t> unpacked_codes(const torch::Tensor& packed, std::int64_t n, int bits) {
  Codes codes(static_cast<std::size_t>(n));
  const auto* bytes = packed.data_ptr<std::uint8_t>();
  const std::int64_t last = packed.numel() - 1;
  std::int64_t bit = 0;
  for (std::uint8_t& code : codes) {
    const std::int64_t byte = bit / 8;
    const unsigned both = bytes[byte] | (byte < last ? bytes[byte + 1] : 0u) << 8;
    code = static_cast<std::uint8_t>((both >> (bit % 8)) & ((1u << bits) - 1));
    bit += bits;
  }
  return codes;
}

std::vector<double> dynamic_exponent_map(int bits) {
  std::vector<double> values = {0, 1};
  for (int e = 0; e < bits - 1; ++e) {
    const int parts = 1 << e;
    for (int i = 0; i < parts; ++i) {
      const double middle = 0.1 + 0.9 * (i + 0.5) / parts;
      const double value = middle * std::pow(10.0, e - bits + 2);
      values.push_back(value);
      values.push_back(-value);
    }
  }
  std::sort(values.begin(), values.end());
  return values;
}

StateCodes encode_signed(const torch::Tensor& x, int bits, StateRounding rounding, Rng draws) {
  const std::vector<double> map = dynamic_exponent_map(bits);
  const int last = static_cast<int>(map.size()) - 1;
  Codes codes(static_cast<std::size_t>(x.numel()));
  auto stats = torch::empty({blocks_of(x.numel()), 1});
  for_each_block(x, [&](std::int64_t b, std::size_t first, std::span<const float> values) {
    const float extreme = extreme_of(values);
    stats.data_ptr<float>()[b] = extreme;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double t = extreme == 0 ? 0 : static_cast<double>(values[i]) / extreme;
      codes[first + i] = static_cast<std::uint8_t>(whole(place_in(map, t), last, rounding, draws));
    }
  });
  return {packed_codes(codes, bits), stats};
}

torch::Tensor decode_signed(const StateCodes& state, int bits, const torch::Tensor& like) {
  const std::vector<double> map = dynamic_exponent_map(bits);
  const Codes codes = unpacked_codes(state.codes, like.numel(), bits);
  const auto* extremes = state.stats.data_ptr<float>();
  auto x = torch::empty(like.sizes());
  auto* values = x.data_ptr<float>();
  for (std::size_t i = 0; i < codes.size(); ++i)
    values[i] = static_cast<float>(map[codes[i]] * extremes[i / kStateBlock]);
  return x;
}

StateCodes encode_unsigned(const torch::Tensor& x, int bits, double quantile,
                           StateRounding rounding, Rng draws) {
  const int last = (1 << bits) - 1;
  Codes codes(static_cast<std::size_t>(x.numel()));
  auto stats = torch::empty({blocks_of(x.numel()), 2});
  for_each_block(x, [&](std::int64_t b, std::size_t first, std::span<const float> values) {
    const auto [largest, ratio] = log_grid(values, last, quantile);
    stats.data_ptr<float>()[2 * b] = largest;
    stats.data_ptr<float>()[2 * b + 1] = ratio;
    const double log_ratio = std::log(static_cast<double>(ratio));
    for (std::size_t i = 0; i < values.size(); ++i) {
      double at = 0;
      if (values[i] <= 0)
        at = last;
      else if (log_ratio < 0)
        at = std::log(static_cast<double>(values[i]) / largest) / log_ratio;
      codes[first + i] = static_cast<std::uint8_t>(whole(at, last, rounding, draws));
    }
  });
  return {packed_codes(codes, bits), stats};
}

torch::Tensor decode_unsigned(const StateCodes& state, int bits, const torch::Tensor& like) {
  const Codes codes = unpacked_codes(state.codes, like.numel(), bits);
  const auto* stats = state.stats.data_ptr<float>();
  auto x = torch::empty(like.sizes());
  auto* values = x.data_ptr<float>();
  std::vector<float> grid(std::size_t{1} << bits);
  for (std::size_t first = 0; first < codes.size(); first += kStateBlock) {
    const float* stat = stats + 2 * (first / kStateBlock);
    double value = stat[0];
    for (float& entry : grid) {
      entry = static_cast<float>(value);
      value *= stat[1];
    }
    const std::size_t end = std::min(codes.size(), first + kStateBlock);
    for (std::size_t i = first; i < end; ++i) values[i] = grid[codes[i]];
  }
  return x;
}

}  // namespace karat
