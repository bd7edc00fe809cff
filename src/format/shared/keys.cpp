#include "format/shared/keys.h"

#include <fmt/format.h>

#include <algorithm>

#include "karat/error.h"

namespace karat {

namespace {

/// A number of bits; what is out of range stays so.
int narrow(const KeyValue& value) {
  return static_cast<int>(std::clamp<std::int64_t>(std::get<std::int64_t>(value), -1, 255));
}

}  // namespace

Key bits_key() {
  return {.name = "bits",
          .get = [](const PackedLayout& layout) -> KeyValue { return std::int64_t{layout.bits}; },
          .set = [](PackedLayout& layout, const KeyValue& value) { layout.bits = narrow(value); }};
}

Key group_key() {
  return {.name = "group",
          .get = [](const PackedLayout& layout) -> KeyValue { return layout.group; },
          .set = [](PackedLayout& layout,
                    const KeyValue& value) { layout.group = std::get<std::int64_t>(value); }};
}

Key symmetric_key() {
  return {.name = "symmetric",
          .get = [](const PackedLayout& layout) -> KeyValue { return layout.symmetric; },
          .set = [](PackedLayout& layout,
                    const KeyValue& value) { layout.symmetric = std::get<bool>(value); }};
}

Key input_scales_key() {
  return {.name = "input_scales",
          .required = false,
          .get = [](const PackedLayout& layout) -> KeyValue { return layout.input_scales; },
          .set = [](PackedLayout& layout,
                    const KeyValue& value) { layout.input_scales = std::get<bool>(value); }};
}

Key rotation_key() {
  constexpr std::int64_t kNone = -1;
  return {.name = "rotation",
          .required = false,
          .get = [](const PackedLayout& layout) -> KeyValue {
            return layout.rotation ? std::int64_t{*layout.rotation} : kNone;
          },
          .set =
              [](PackedLayout& layout, const KeyValue& value) {
                const auto seed = std::get<std::int64_t>(value);
                if (seed < 0)
                  fail("read quantization_config, \"rotation\"", fmt::format("{}", seed),
                       "0 or more");
                layout.rotation = static_cast<std::uint32_t>(seed);
              }};
}

Key hadamard_key() {
  return {.name = "hadamard",
          .required = false,
          .get = [](const PackedLayout& layout) -> KeyValue { return layout.hadamard; },
          .set = [](PackedLayout& layout,
                    const KeyValue& value) { layout.hadamard = std::get<std::int64_t>(value); }};
}

Key input_grid_key() {
  return {.name = "input_grid",
          .required = false,
          .get = [](const PackedLayout& layout) -> KeyValue { return layout.input_grid; },
          .set = [](PackedLayout& layout,
                    const KeyValue& value) { layout.input_grid = std::get<std::string>(value); }};
}

Key input_bits_key() {
  return {
      .name = "input_bits",
      .required = false,
      .get = [](const PackedLayout& layout) -> KeyValue { return std::int64_t{layout.input_bits}; },
      .set = [](PackedLayout& layout,
                const KeyValue& value) { layout.input_bits = narrow(value); }};
}

}  // namespace karat
