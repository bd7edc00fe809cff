// libFuzzer target of the Karat-folder reader: the input is a config.json and the bytes that packed
// parts are cut from. Whatever packed_view accepts, unpack must read without a fault.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "karat/error.h"
#include "karat/packed.h"

using namespace karat;

namespace {

/// Takes numbers from the input until it is empty, then zeros.
struct Bytes {
  const std::uint8_t* data;
  std::size_t size;
  std::uint8_t next() {
    if (size == 0) return 0;
    --size;
    return *data++;
  }
};

void add(std::vector<OwnedTensor>& tensors, Bytes& input, const char* name, DType dtype,
         std::vector<std::int64_t> shape) {
  if ((input.next() & 15) == 15) return;                            // absent
  if ((input.next() & 31) == 31) shape.back() += input.next();      // another shape
  if ((input.next() & 31) == 31) dtype = DType(input.next() % 13);  // another type
  OwnedTensor tensor{name, dtype, std::move(shape), {}};
  tensor.data.resize(tensor.view().bytes());
  for (std::byte& byte : tensor.data) byte = std::byte{input.next()};
  tensors.push_back(std::move(tensor));
}

void read_parts(Bytes& input) {
  static const char* const kFormats[] = {"uniform",  "nf4", "fp4",     "e2m1",
                                         "e2m1-daq", "lut", "trellis", "column-trellis",
                                         "none"};
  static const char* const kCodes[] = {"1mad", "3inst", "1mad12"};
  PackedLayout layout{
      .bits = input.next() % 10, .group = input.next() % 40, .symmetric = (input.next() & 1) != 0};
  const bool bilevel = (input.next() & 1) != 0;
  layout.format = kFormats[input.next() % 9];
  layout.input_scales = (input.next() & 3) == 3;
  const char* code = kCodes[input.next() % 3];
  if ((input.next() & 3) == 3) layout.rotation = input.next();
  const bool in_blocks = (input.next() & 7) == 7;
  if (layout.format == "trellis")
    layout.variant = code;
  else
    layout.variant = bilevel ? "bilevel" : in_blocks ? "blocks" : "";
  const std::int64_t out = input.next() % 40, in = input.next() % (in_blocks ? 240 : 80);
  const std::int64_t groups = layout.groups(in), blocks = (out + 15) / 16, n = input.next() % 32;
  std::vector<OwnedTensor> tensors;
  const bool trellis = layout.format == "trellis";
  if (trellis) {
    const std::int64_t band = (in % 16 * layout.bits * 16 + 7) / 8 + in / 16 * 32 * layout.bits,
                       last = (in % 16 * layout.bits * (out % 16) + 7) / 8 +
                              in / 16 * 2 * (out % 16) * layout.bits;
    add(tensors, input, "m.codes", DType::u8, {out / 16 * band + last});
    add(tensors, input, "m.scales", DType::f16, {out, 1});
  } else {
    add(tensors, input, "m.codes", DType::u8, {out, (in * layout.bits + 7) / 8});
  }
  const bool lut = layout.format == "lut", stray = (input.next() & 31) == 31;
  if (lut || stray) add(tensors, input, "m.tables", DType::f16, {out, groups, 1 << layout.bits});
  if (layout.input_scales) add(tensors, input, "m.input_scales", DType::f16, {in});
  if (layout.format == "column-trellis") {
    layout.group = 0;
    add(tensors, input, "m.scales", DType::f16, {out, 1});
  } else if (!lut && !trellis && !bilevel) {
    add(tensors, input, "m.scales", DType::f16, {out, groups});
    if (!layout.symmetric) add(tensors, input, "m.zeros", DType::f16, {out, groups});
  }
  for (const char* name : {"m.scale_codes", "m.zero_codes"})
    if (bilevel) add(tensors, input, name, DType::u8, {blocks, groups, 6});
  for (const char* name : {"m.scale_stats", "m.zero_stats"})
    if (bilevel) add(tensors, input, name, DType::f16, {blocks, groups, 2});
  add(tensors, input, "m.outlier_counts", (input.next() & 1) ? DType::u8 : DType::u16, {out});
  add(tensors, input, "m.outlier_columns", DType::u16, {n});
  add(tensors, input, "m.outlier_values", DType::f16, {n});
  std::vector<TensorView> views;
  for (const OwnedTensor& tensor : tensors) views.push_back(tensor.view());
  const auto view = packed_view("m", layout, out, in, [&](std::string_view name) {
    const auto at = std::ranges::find(views, name, &TensorView::name);
    return at == views.end() ? nullptr : &*at;
  });
  if (static_cast<std::int64_t>(unpack(view).size()) != out * in) __builtin_trap();
}

/// What was read and written again reads the same.
void read_config(std::string_view text) {
  const auto config = parse_quantization(text);
  if (!config) return;
  const auto again =
      parse_quantization("{\"quantization_config\":" + quantization_json(*config) + "}");
  if (!again || again->layers != config->layers || again->method != config->method)
    __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Bytes input{data + 1, size - 1};
  try {
    if (data[0] == '{')
      read_config({reinterpret_cast<const char*>(data), size});
    else
      read_parts(input);
  } catch (const Error&) {
  }
  return 0;
}
