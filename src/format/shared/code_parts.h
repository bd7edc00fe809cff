// Parts that several formats have, and what packing one checks.
#pragma once

#include "format/codec.h"
#include "format/parts.h"

namespace karat {

/// Throws, naming `tensor`, unless there are `expected` values.
void expect_size(const std::string& tensor, std::size_t got, std::int64_t expected);
/// Throws on a code that is not below `limit`.
void expect_codes(const std::string& tensor, const std::vector<std::uint8_t>& codes, int limit);
/// Throws on FP16 bits of NaN or infinity.
void expect_finite(const std::string& tensor, const std::vector<std::uint16_t>& halves);

/// FP16 values of `shape`, taken from `values` of a PackedMatrix.
Part halves_part(std::string_view name, std::vector<std::int64_t> shape,
                 TensorView PackedView::*view, std::vector<std::uint16_t> PackedMatrix::*values);

/// row_scales, F32 [out], finite.
Part row_scales_part(std::int64_t out);

/// codes, U8 [out, ⌈in·bits/8⌉]: each row begins at a byte, and `write` puts code i of a row of
/// `in` there, whose bits are 0.
using WriteCode = void (*)(std::byte* row, std::int64_t in, std::int64_t i, int bits,
                           unsigned code);
Part code_rows_part(const PackedLayout& layout, std::int64_t out, std::int64_t in, WriteCode write);
/// One stream of bits a row.
void write_stream_code(std::byte* row, std::int64_t in, std::int64_t i, int bits, unsigned code);

/// The first of the 2^bits numbers, or of a list, that no code is.
int code_limit(const PackedLayout& layout);

}  // namespace karat
