// Packed parts found in a file and checked: after this no kernel needs to check anything.
#include <fmt/format.h>

#include "format/parts.h"
#include "format/rows.h"
#include "karat/error.h"

namespace karat {
namespace {

std::string describe(DType dtype, std::span<const std::int64_t> shape) {
  return fmt::format("{} {}", name_of(dtype), shape_text(shape));
}

TensorView require(const std::string& tensor, DType dtype, const std::vector<std::int64_t>& shape,
                   const FindTensor& find) {
  const TensorView* view = find(tensor);
  if (view == nullptr) fail("read tensor " + tensor, "nothing", describe(dtype, shape));
  if (view->dtype != dtype || view->shape != shape)
    fail("read tensor " + tensor, describe(view->dtype, view->shape), describe(dtype, shape));
  return *view;
}

void check_finite(const TensorView& view) {
  if (view.data == nullptr || (view.dtype != DType::f16 && view.dtype != DType::f32)) return;
  const bool half = view.dtype == DType::f16;  // of a float the upper half tells
  const unsigned exponent = half ? 0x7c00 : 0x7f80;
  const std::int64_t n = view.numel(), stride = half ? 1 : 2;
  unsigned bad = 0;
  for (std::int64_t i = stride - 1; i < n * stride; i += stride)
    bad |= (load_u16(view.data, i) & exponent) == exponent;
  if (bad != 0) fail("read tensor " + view.name, "NaN or infinity", "finite values");
}

/// The parts that `layout` does not have must not be there: they would be read by nobody.
void refuse_strays(const std::string& name, const std::vector<Part>& parts,
                   const FindTensor& find) {
  for (const NamedPart& stray : all_parts()) {
    bool known = false;
    for (const Part& part : parts) known |= part.name == stray.name;
    if (!known && find(fmt::format("{}.{}", name, stray.name)) != nullptr)
      fail(fmt::format("read tensor {}.{}", name, stray.name),
           "a part that the layer's layout has not", "the parts of its layout alone");
  }
}

void check_columns(const PackedView& view, const std::vector<std::uint32_t>& offsets) {
  const std::byte* columns = view.outlier_columns.data;
  for (std::int64_t o = 0; o < view.out; ++o) {
    std::int64_t last = -1;
    for (std::uint32_t k = offsets[o]; k < offsets[o + 1]; ++k) {
      const std::int64_t column = load_u16(columns, k);
      if (column <= last || column >= view.in)
        fail("read tensor " + view.outlier_columns.name,
             fmt::format("column {} in row {}", column, o),
             fmt::format("ascending columns below {}", view.in));
      last = column;
    }
  }
}

void find_overlay(const std::string& name, PackedView& view, const FindTensor& find) {
  const TensorView* counts = find(name + ".outlier_counts");
  const TensorView* columns = find(name + ".outlier_columns");
  const TensorView* values = find(name + ".outlier_values");
  if (counts == nullptr && columns == nullptr && values == nullptr) return;
  const DType width = counts != nullptr && counts->dtype == DType::u16 ? DType::u16 : DType::u8;
  view.outlier_counts = require(name + ".outlier_counts", width, {view.out}, find);
  const std::int64_t n = columns != nullptr && columns->shape.size() == 1 ? columns->shape[0] : 0;
  view.outlier_columns = require(name + ".outlier_columns", DType::u16, {n}, find);
  view.outlier_values = require(name + ".outlier_values", DType::f16, {n}, find);
  if (view.in > kMaxOverlayInputs)
    fail("read tensor " + view.outlier_columns.name, fmt::format("{} inputs", view.in),
         "at most 65536");
  check_columns(view, outlier_offsets(view));
  check_finite(view.outlier_values);
}

}  // namespace

PackedView packed_view(const std::string& name, const PackedLayout& layout, std::int64_t out,
                       std::int64_t in, const FindTensor& find) {
  check_layout(name, layout, out, in);
  PackedView view;
  view.layout = layout;
  view.codec = &find_codec("packed layer " + name, layout.format);
  view.out = out;
  view.in = in;
  const std::vector<Part> parts = layout_parts(layout, out, in);
  for (const Part& part : parts) {
    view.*part.view = require(fmt::format("{}.{}", name, part.name), part.dtype, part.shape, find);
    check_finite(view.*part.view);
  }
  refuse_strays(name, parts, find);
  find_overlay(name, view, find);
  return view;
}

}  // namespace karat
