// The bytes of a quantized matrix: what the file holds, and the only place that counts bits.
// The layout is specified in docs/format.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karat/tensor_view.h"

namespace karat {

/// How a matrix is stored: the format's name and what its room (src/format/codec/<format>.cpp)
/// makes of the rest. Statistics belong to a row and a group of inputs.
struct PackedLayout {
  /// "uniform": ŵ = scale · (code − zero); a list of values ("nf4", "fp4", "e2m1", "e2m1-daq"):
  /// ŵ = scale · (value[code] − zero); "lut": ŵ = table[code]; what else docs/format.md specifies.
  std::string format = "uniform";
  /// What the format alone has, by the name that it has there; most have none. Of uniform:
  /// "bilevel", 3-bit scales and zeros over 16 rows (SpQR) with an FP16 second level, or "blocks",
  /// codes of 3, 5 or 6 bits in blocks of kCodeBlock inputs, made for 8-bit kernels.
  std::string variant = {};
  int bits = 4;               // of a code
  std::int64_t group = 128;   // inputs that share statistics; 0: the whole row
  bool symmetric = false;     // the zero is not stored: 2^(bits−1) for uniform, 0 for the lists
  bool input_scales = false;  // ŵ[o, i] is multiplied by input_scale[i] at the end
  std::optional<std::uint32_t> rotation = {};  // a seed below 2^31: ŵ is stored as R_out ŵ R_inᵀ
  std::int64_t hadamard =
      0;  // ŵ is stored as ŵ (1 ⊗ H), H of this order, and multiplied so; 0: not
  std::string input_grid = {};  // inputs are rounded, in that basis, before they are multiplied: to
  int input_bits = 0;  // levels of src/format/input_grid/<input_grid>.cpp; "": they are not

  std::int64_t groups(std::int64_t in) const;      // ceil(in / group)
  std::int64_t group_size(std::int64_t in) const;  // group, or in
  bool operator==(const PackedLayout&) const = default;
};
inline constexpr std::int64_t kBilevelRows = 16;
inline constexpr int kBilevelBits = 3;
inline constexpr std::int64_t kCodeBlock = 128;      // inputs
inline constexpr std::int64_t kCodeBlockBytes = 48;  // of 3-bit codes

/// Outliers kept at FP16, row by row; `values` are residuals w − ŵ, so that dense + overlay = w.
struct Overlay {
  std::vector<std::uint32_t> offsets;  // [out + 1]; empty: no overlay
  std::vector<std::uint16_t> columns;  // ascending within a row
  std::vector<std::uint16_t> values;   // FP16 bits
};

/// A quantized matrix before packing: plain arrays, row-major, of which a format has some.
struct PackedMatrix {
  PackedLayout layout;
  std::int64_t out = 0, in = 0;
  std::vector<std::uint8_t> codes;                    // [out, in]
  std::vector<std::uint16_t> scales, zeros;           // FP16 bits [out, groups]; plain layouts
  std::vector<std::uint8_t> scale_codes, zero_codes;  // [out, groups]; bilevel
  std::vector<std::uint16_t> scale_stats,
      zero_stats;                           // FP16 [ceil(out/16), groups, 2]: {scale, zero}
  std::vector<std::uint16_t> tables;        // FP16 bits [out, groups, 2^bits]; lut
  std::vector<float> row_scales;            // [out]; midrise
  std::vector<std::uint16_t> input_scales;  // FP16 bits [in]; with layout.input_scales
  Overlay overlay;
};

/// Tensors `name`.codes, .scales … as docs/format.md lays them out. Throws on values out of range.
std::vector<OwnedTensor> pack(const std::string& name, const PackedMatrix& matrix);

struct Codec;  // a storage format's functions (src/format/codec.h)

/// A packed matrix as it lies in a mapped file.
struct PackedView {
  PackedLayout layout;
  const Codec* codec = nullptr;  // of layout.format
  std::int64_t out = 0, in = 0;
  TensorView codes, scales, zeros, scale_codes, zero_codes, scale_stats, zero_stats, tables;
  TensorView input_scales, row_scales;
  TensorView outlier_counts, outlier_columns, outlier_values;  // data == nullptr: absent

  std::int64_t stored_bits() const;  // of all parts; ÷ (out·in) is the bits per weight
  std::int64_t outliers() const;
};

/// The quantization_config of a Karat folder: quant_method "karat", format version, and per linear
/// layer (Linear::name) its layout. Layers not listed are stored dense. The version
/// written is the lowest that has what the layouts use, but `version` at least (docs/format.md).
inline constexpr int kFormatVersion = 8;
inline constexpr int kEndsVersion = 6;  // the first whose embedding and head may be packed
struct QuantizationConfig {
  std::string method;  // the recipe's name, "gwq"
  std::map<std::string, PackedLayout> layers;
  int version = 1;  // as read; when written, the least
};
/// The JSON object to put under "quantization_config".
std::string quantization_json(const QuantizationConfig& config);
/// Reads it back from the text of a config.json; nothing when there is no quantization_config.
/// Throws on another quant_method, a newer format version, or a value out of range.
std::optional<QuantizationConfig> parse_quantization(std::string_view config_json);

/// Finds the parts of layer `name` through `find` (nullptr when absent) and checks every shape,
/// type, count and column index. Throws naming the tensor.
using FindTensor = std::function<const TensorView*(std::string_view name)>;
PackedView packed_view(const std::string& name, const PackedLayout& layout, std::int64_t out,
                       std::int64_t in, const FindTensor& find);

/// [out, in] floats of a packed matrix in the layer's own basis, overlay included. The oracle of
/// every packed kernel, where inputs are not rounded.
std::vector<float> unpack(const PackedView& view);

}  // namespace karat
