// The container of GGUF files: what it holds, and files that lie.
#include "load/gguf/content.h"

#include "core/block.h"
#include "load/gguf/testing.h"
#include "load/testing.h"

using namespace karat;
using namespace karat::testing;

namespace {

GgufContent parse(const std::string& bytes) {
  return parse_gguf(std::as_bytes(std::span(bytes)), "m.gguf");
}
std::string error_in(const std::string& bytes) {
  return error_of([&] { parse(bytes); });
}
std::string error_in(const GgufWriter& writer) {
  return error_in(writer.bytes());
}
const std::string kRow(32, 'x');

}  // namespace

TEST_CASE("keys and tensors of a GGUF file") {
  GgufWriter writer;
  writer.text("general.architecture", "llama").integer("n", 7).real("r", 0.5f).flag("f", true);
  writer.key("i", GgufType::i8, raw<std::int8_t>(-3)).texts("t", {"a", "", "bc"});
  writer.numbers<std::int16_t>("s", GgufType::i16, {-1, 2});
  writer.tensor("v", {8}, 0, kRow).tensor("q", {32, 2}, 8, std::string(68, '\1'));
  const std::string bytes = writer.bytes();
  const GgufContent content = parse(bytes);
  CHECK(std::get<std::string_view>(content.values.at("general.architecture")) == "llama");
  CHECK(std::get<std::uint64_t>(content.values.at("n")) == 7);
  CHECK(std::get<double>(content.values.at("r")) == 0.5);
  CHECK(std::get<bool>(content.values.at("f")));
  CHECK(std::get<std::int64_t>(content.values.at("i")) == -3);
  CHECK(texts_of(std::get<GgufArray>(content.values.at("t"))) ==
        std::vector<std::string_view>{"a", "", "bc"});
  CHECK(numbers_of(std::get<GgufArray>(content.values.at("s"))) == std::vector<double>{-1, 2});
  REQUIRE(content.tensors.size() == 2);
  CHECK(content.tensors[0].type() == "F32");
  CHECK(content.tensors[1].type() == "Q8_0");
  CHECK(content.tensors[1].shape == std::vector<std::int64_t>{2, 32});
  CHECK(content.tensors[1].bytes() == 68);
  CHECK(content.tensors[1].data[0] == std::byte{1});
}

TEST_CASE("every beginning of a GGUF file is refused, and no byte can be turned into a fault") {
  GgufWriter writer;
  writer.text("general.architecture", "llama").texts("t", {"a", "bc"}).integer("n", 7);
  writer.tensor("v", {8}, 0, kRow).tensor("q", {32, 2}, 8, std::string(68, '\1'));
  const std::string bytes = writer.bytes();
  const std::size_t needed = bytes.size() - (96 - 68);  // the last tensor may lack its padding
  for (std::size_t size = 0; size < needed; ++size) {
    CAPTURE(size);
    CHECK(error_in(bytes.substr(0, size)) != "no error");
  }
  CHECK(error_in(bytes.substr(0, needed)) == "no error");
  for (std::size_t at = 0; at < bytes.size(); ++at)
    for (const char other : {'\0', '\1', '\x7f', '\xff'}) {
      std::string changed = bytes;
      changed[at] = other;
      error_in(changed);
    }
}

TEST_CASE("headers and keys that lie are refused by name") {
  GgufWriter writer;
  writer.magic = "GGML";
  contains(error_in(writer), "read m.gguf: got a file without its magic, expected GGUF");
  writer.magic = "GGUF";
  for (const std::uint32_t version : {0u, 1u, 4u}) {
    writer.version = version;
    contains(error_in(writer), "expected version 2 or 3, little-endian");
  }
  writer.version = 0x03000000;
  contains(error_in(writer), "got a big-endian file");
  writer.version = 3;
  writer.key_count = std::uint64_t{1} << 62;
  contains(error_in(writer), "got 4611686018427387904 keys, expected at most 0 in the");
  writer.key_count = 0;
  writer.tensor_count = ~std::uint64_t{0};
  contains(error_in(writer), "got 18446744073709551615 tensors, expected at most");

  contains(error_in(GgufWriter().integer("n", 1).integer("n", 2)),
           "read m.gguf, key n: got the key twice, expected once");
  contains(error_in(GgufWriter().integer("", 1)), "got a key of 0 bytes");
  contains(error_in(GgufWriter().key("n", static_cast<GgufType>(13), kRow)),
           "key n: got type 13, expected one of 0 to 12");
  contains(error_in(GgufWriter().key("f", GgufType::boolean, "\2" + kRow)), "got the flag 2");
  contains(error_in(GgufWriter().key("t", GgufType::text, raw(~std::uint64_t{0}) + kRow)),
           "key t: got a text of 18446744073709551615 bytes, expected at most the");
  const std::string huge = raw(std::uint32_t{4}) + raw(std::uint64_t{1} << 61) + kRow;
  contains(error_in(GgufWriter().key("a", GgufType::array, huge)),
           "key a: got 2305843009213693952 elements");
  const std::string nested = raw(std::uint32_t{9}) + raw(std::uint64_t{1}) + kRow;
  contains(error_in(GgufWriter().key("a", GgufType::array, nested)), "got an array of arrays");
}

TEST_CASE("tensors that lie are refused by name") {
  const auto one = [](const std::vector<std::int64_t>& extents, std::uint32_t type) {
    return error_in(GgufWriter().tensor("v", extents, type, kRow));
  };
  contains(one({}, 0), "tensor v: got 0 dimensions, expected 1 to 4");
  contains(one({1, 1, 1, 1, 8}, 0), "got 5 dimensions");
  contains(one({-8}, 0), "got an extent of -8");
  contains(one({0}, 0), "got an extent of 0");
  contains(one({std::int64_t{1} << 40, std::int64_t{1} << 40}, 0), "whose product is below 2^63");
  contains(one({std::int64_t{1} << 62}, 0), "expected less than 2^63 bytes");
  contains(one({9}, 0), "got 36 bytes of it at 0, expected at most the 32");
  contains(one({8}, 4), "tensor v: got the tensor type 4, expected one of F32, F16, BF16, IQ1_M");
  contains(one({8}, 2), "got rows of 8, expected a multiple of 32, the block of Q4_0");
  contains(error_in(GgufWriter().tensor("v", {8}, 0, kRow).tensor("v", {8}, 0, kRow)),
           "tensor v: got the name twice");
  contains(error_in(GgufWriter().tensor("", {8}, 0, kRow)), "got a name of 0 bytes");
  contains(error_in(GgufWriter().tensor(std::string(64, 'n'), {8}, 0, kRow)),
           "got a name of 64 bytes, expected 1 to 63");
  contains(error_in(GgufWriter().tensor("v", {8}, 0, kRow + kRow).tensor("w", {8}, 0, kRow)),
           "tensor w: got the offset 64, expected 32, where the tensor before it ends");
  for (const std::uint32_t alignment : {0u, 3u, 1u << 21})
    contains(
        error_in(GgufWriter().integer("general.alignment", alignment).tensor("v", {8}, 0, kRow)),
        "general.alignment");
  contains(error_in(GgufWriter().text("general.alignment", "32").tensor("v", {8}, 0, kRow)),
           "got general.alignment of another type");
}
