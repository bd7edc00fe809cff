// Calibration text: read, cut into windows, drawn by a seed.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "calibrate/stretch.h"
#include "core/hash.h"
#include "core/rng.h"
#include "karat/calibrate.h"
#include "karat/error.h"
#include "karat/text_file.h"

namespace karat {
namespace {

constexpr std::size_t kStretchBytes = 16u << 20;
constexpr std::size_t kBytesPerToken = 16;  // no tokenizer's average on ordinary text is higher

/// The first `count` of 0 … total − 1 in a seeded order (Fisher and Yates).
std::vector<std::int64_t> draw(std::int64_t count, std::int64_t total, Rng& rng) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(total));
  std::iota(order.begin(), order.end(), 0);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto other =
        i + static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(total - i)));
    std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(other)]);
  }
  order.resize(static_cast<std::size_t>(count));
  return order;
}

torch::Tensor windows(const std::string& name, const std::vector<TokenId>& tokens,
                      std::optional<TokenId> bos, const CalibrationOptions& options, Rng& rng) {
  const auto text_length = options.length - (bos ? 1 : 0);
  const auto total = static_cast<std::int64_t>(tokens.size()) / text_length;
  if (total < options.samples)
    fail("calibration text " + name, fmt::format("{} tokens", tokens.size()),
         fmt::format("at least {} for {} sequences of {}", options.samples * text_length,
                     options.samples, options.length),
         "give a longer text, or ask for fewer or shorter sequences");
  auto ids = torch::empty({options.samples, options.length}, torch::kInt64);
  auto* out = ids.data_ptr<std::int64_t>();
  for (const auto window : draw(options.samples, total, rng)) {
    if (bos) *out++ = *bos;
    out = std::copy_n(tokens.begin() + window * text_length, text_length, out);
  }
  return ids;
}

}  // namespace

CalibrationSet read_calibration(const std::filesystem::path& file, const Tokenizer& tokenizer,
                                const CalibrationOptions& options) {
  if (options.samples < 1 || options.samples > 1 << 20)
    fail("calibration samples", std::to_string(options.samples), "1 to 1048576");
  if (options.length < 2 || options.length > 1 << 20)
    fail("calibration length", std::to_string(options.length), "2 to 1048576 tokens");
  const auto name = file.filename().string();
  const TextFile text = TextFile::open(file, options.field);
  Rng rng(options.seed);
  const auto wanted = static_cast<std::size_t>(options.samples * options.length) * kBytesPerToken;
  const auto tokens =
      tokenizer.encode(stretch_of(text.text(), std::max(kStretchBytes, wanted), rng), false);
  CalibrationSet set{.ids = windows(name, tokens, tokenizer.bos(), options, rng),
                     .file = name,
                     .sha256 = sha256(text.bytes()),
                     .records = text.is_records(),
                     .text_tokens = static_cast<std::int64_t>(tokens.size()),
                     .options = options};
  text.check();
  return set;
}

}  // namespace karat
