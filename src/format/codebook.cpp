// The names of the codebooks and their lists of values, as docs/format.md specifies them.
#include <algorithm>
#include <array>

#include "format/parts.h"

namespace karat {
namespace {

struct Named {
  Codebook codebook;
  std::string_view name;
};
constexpr Named kNames[] = {
    {Codebook::uniform, "uniform"}, {Codebook::nf4, "nf4"},           {Codebook::fp4, "fp4"},
    {Codebook::e2m1, "e2m1"},       {Codebook::e2m1_daq, "e2m1-daq"}, {Codebook::lut, "lut"},
    {Codebook::trellis, "trellis"},
};

/// Quantiles of a normal distribution, scaled to [−1, 1] (QLoRA, arXiv 2305.14314).
constexpr std::array<float, 16> kNf4 = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

/// ±magnitudes and 0, ascending; code 15, which nobody writes, has the last value again.
constexpr std::array<float, 16> mirrored(const std::array<float, 7>& magnitudes) {  // ascending
  std::array<float, 16> values = {};
  for (std::size_t i = 0; i < 7; ++i) {
    values[6 - i] = -magnitudes[i];
    values[8 + i] = magnitudes[i];
  }
  values[15] = values[14];
  return values;
}
constexpr auto kFp4 = mirrored({0.0625f, 2, 3, 4, 6, 8, 12});        // bitsandbytes
constexpr auto kE2m1 = mirrored({0.5f, 1, 1.5f, 2, 3, 4, 6});        // OCP microscaling formats
constexpr auto kE2m1Daq = mirrored({0.0625f, 1, 1.5f, 2, 3, 4, 6});  // DAQ, arXiv 2410.12187

}  // namespace

std::string_view name_of(Codebook codebook) {
  const Named* found = std::ranges::find(kNames, codebook, &Named::codebook);
  return found == std::end(kNames) ? "unknown" : found->name;
}

std::optional<Codebook> find_codebook(std::string_view name) {
  const Named* found = std::ranges::find(kNames, name, &Named::name);
  return found == std::end(kNames) ? std::nullopt : std::optional(found->codebook);
}

const float* code_values(Codebook codebook) {
  if (codebook == Codebook::nf4) return kNf4.data();
  if (codebook == Codebook::fp4) return kFp4.data();
  if (codebook == Codebook::e2m1) return kE2m1.data();
  if (codebook == Codebook::e2m1_daq) return kE2m1Daq.data();
  return nullptr;
}

std::span<const float> codebook_values(Codebook codebook) {
  const float* values = code_values(codebook);
  if (values == nullptr) return {};
  return {values, values[15] == values[14] ? std::size_t{15} : std::size_t{16}};
}

int code_limit(const PackedLayout& layout) {
  const std::span<const float> values = codebook_values(layout.codebook);
  return values.empty() ? 1 << layout.bits : static_cast<int>(values.size());
}

}  // namespace karat
