// Block types against what the Python package gguf decodes them to: tools/dump_blocks.py.
#include <cstring>

#include "core/block.h"
#include "karat/safetensors.h"
#include "load/testing.h"

using namespace karat;
using namespace karat::testing;

TEST_CASE("every block type decodes to the bits that gguf's own package gives") {
  const Safetensors file = Safetensors::open("tests/fixtures/gguf/blocks.safetensors");
  CHECK(file.tensors().size() == 2 * block_table().size());
  for (const auto& [name, found] : block_table()) {
    const BlockType& type = found();
    CAPTURE(type.name);
    const TensorView& blocks = file.get(std::string(type.name) + ".blocks");
    const TensorView& expected = file.get(std::string(type.name) + ".weights");
    REQUIRE(blocks.shape[1] == type.bytes);
    REQUIRE(expected.shape[1] == type.values);
    const TensorView view = block_view("w", type, expected.shape, blocks.data);
    CHECK(view.bytes() == blocks.bytes());
    CHECK(view.type() == type.name);
    const std::vector<float> weights = to_floats(view);
    CHECK(std::memcmp(weights.data(), expected.data, expected.bytes()) == 0);
    CHECK(find_block_type(type.id) == &type);
    const std::vector<float> last = to_floats(rows_of(view, view.shape[0] - 1, 1));
    CHECK(std::memcmp(last.data(), &weights[weights.size() - last.size()], last.size() * 4) == 0);
  }
}

// Values of the reference functions of ggml for the bytes (37 i + 11) mod 256, d = 0.5 and
// dmin = 0.25.
TEST_CASE("a Q4_K and a Q6_K block of known bytes") {
  const auto sum_of = [](const char* name, std::vector<std::size_t> halves,
                         std::vector<std::size_t> quarters) {
    const BlockType& type = block_table().at(name)();
    std::vector<std::byte> bytes(static_cast<std::size_t>(type.bytes));
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = std::byte((37 * i + 11) & 255);
    for (const std::size_t at : halves) bytes[at] = std::byte{0}, bytes[at + 1] = std::byte{0x38};
    for (const std::size_t at : quarters) bytes[at] = std::byte{0}, bytes[at + 1] = std::byte{0x34};
    std::vector<float> weights(static_cast<std::size_t>(type.values));
    type.decode(bytes.data(), weights.data());
    double sum = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) sum += static_cast<double>(i + 1) * weights[i];
    return sum;
  };
  CHECK(sum_of("q4_k", {0}, {2}) == 3786420);
  CHECK(sum_of("q5_k", {0}, {2}) == 8013724);
  CHECK(sum_of("q6_k", {208}, {}) == 392210);
  CHECK(sum_of("iq4_xs", {0}, {}) == -1045567);
}

TEST_CASE("rows that are no whole blocks are refused") {
  const BlockType& type = block_table().at("q4_k")();
  contains(error_of([&] {
             block_view("w", type, {2, 128}, nullptr);
           }),
           "tensor w: got rows of 128, expected a multiple of 256, the block of Q4_K");
}
