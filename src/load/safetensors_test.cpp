// Reading and writing safetensors: golden bytes of the reference writer, round trips, and every way
// a file or a folder can lie.
#include "karat/safetensors.h"

#include <doctest/doctest.h>

#include <cstring>

#include "core/file.h"
#include "load/safetensors_header.h"
#include "load/testing.h"

using namespace karat;
using namespace karat::testing;

namespace {

OwnedTensor tensor(std::string name, DType dtype, std::vector<std::int64_t> shape,
                   std::string_view data) {
  return own_bytes(std::move(name), dtype, std::move(shape), std::as_bytes(std::span(data)));
}

/// The error of parsing `bytes` as the file "f".
std::string bytes_refusal(std::string_view bytes) {
  return error_of([&] { parse_safetensors(std::as_bytes(std::span(bytes)), "f"); });
}

// Written by the reference library, safetensors 0.8.0 (Python).
const std::string kGolden = framed(
    R"({"__metadata__":{"format":"pt"},)"
    R"("b\"é\\":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
    R"("c":{"dtype":"BF16","shape":[1],"data_offsets":[16,18]},"z":{"dtype":"F16","shape":[0,3],)"
    R"("data_offsets":[18,18]},"a":{"dtype":"U8","shape":[],"data_offsets":[18,19]}}    )",
    std::string_view("\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\xc0\x3f\x07", 19));

const std::string_view kOne = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";

}  // namespace

TEST_CASE("the reference writer's bytes: read, and written again the same") {
  const TempFolder folder;
  folder.write("golden", kGolden);
  const auto file = Safetensors::open(folder / "golden");
  REQUIRE(file.tensors().size() == 4);
  CHECK(file.file_bytes() == kGolden.size());
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  CHECK(to_floats(file.get("b\"é\\")) == std::vector<float>{1, 2, 3, 4});
  CHECK(to_floats(file.get("c")) == std::vector<float>{1.5f});
  CHECK(file.get("z").shape == std::vector<std::int64_t>{0, 3});
  CHECK(file.get("z").numel() == 0);
  CHECK(file.get("a").shape.empty());
  CHECK(*file.get("a").data == std::byte{7});
  CHECK(file.find("missing") == nullptr);
  CHECK_THROWS_AS(file.get("missing"), Error);

  write_safetensors(folder / "again", file.tensors(), {});
  CHECK(read_text(folder / "again") == kGolden);
}

TEST_CASE("the writer orders types as the reference does, pads, and keeps the caller's metadata") {
  const TempFolder folder;
  const DType types[] = {DType::boolean, DType::u8,      DType::i8,          DType::f8_e5m2,
                         DType::f8_e4m3, DType::f8_e8m0, DType::f8_e4m3fnuz, DType::f8_e5m2fnuz,
                         DType::i16,     DType::u16,     DType::f16,         DType::bf16,
                         DType::i32,     DType::u32,     DType::f32,         DType::c64,
                         DType::f64,     DType::i64,     DType::u64};
  std::vector<OwnedTensor> owned;
  for (const auto type : types)
    owned.push_back(
        tensor(std::string(name_of(type)), type, {2}, std::string(2 * byte_size(type), 'x')));
  std::vector<TensorView> views;
  for (const auto& t : owned) views.push_back(t.view());
  write_safetensors(folder / "f", views, {{"format", "karat"}, {"zürich", "a\nb"}});

  const std::string bytes = read_text(folder / "f");
  CHECK(static_cast<unsigned char>(bytes[0]) % 8 == 0);
  const auto content = parse_safetensors(std::as_bytes(std::span(bytes)), "f");
  CHECK(content.metadata ==
        std::map<std::string, std::string>{{"format", "karat"}, {"zürich", "a\nb"}});
  REQUIRE(content.tensors.size() == std::size(types));
  for (std::size_t i = 0; i < std::size(types); ++i)
    CHECK(content.tensors[i].dtype == types[std::size(types) - 1 - i]);
}

TEST_CASE("the writer refuses what it could not read back") {
  const TempFolder folder;
  const auto a = tensor("a", DType::u8, {1}, "x"), bad = tensor("\xff", DType::u8, {1}, "x"),
             reserved = tensor("__metadata__", DType::u8, {1}, "x");
  for (const auto& views : {std::vector{a.view(), a.view()},
                            {bad.view()},
                            {reserved.view()},
                            {TensorView{"n", DType::u8, {-1}, a.data.data()}},
                            {TensorView{"n", DType::u8, {1}, nullptr}}}) {
    CHECK_THROWS_AS(write_safetensors(folder / "f", views, {}), Error);
    CHECK(!std::filesystem::exists(folder / "f"));
  }
}

TEST_CASE("a full disk fails loudly and leaves no file") {
  if (!std::filesystem::exists("/dev/full")) return;
  const TempFolder folder;
  std::filesystem::create_symlink("/dev/full", folder / "f");
  const auto a = tensor("a", DType::u8, {4}, "abcd");
  const std::vector views = {a.view()};
  CHECK_THROWS_AS(write_safetensors(folder / "f", views, {}), Error);
  CHECK(!std::filesystem::exists(std::filesystem::symlink_status(folder / "f")));
}

TEST_CASE("cut off at any length, the file is refused") {
  for (std::size_t length = 0; length < kGolden.size(); ++length) {
    CAPTURE(length);
    CHECK(bytes_refusal(kGolden.substr(0, length)).starts_with("read f"));
  }
  CHECK(bytes_refusal(kGolden + "x").starts_with("read f"));
}

TEST_CASE("the file's errors say what is wrong") {
  const auto with = [](std::string_view header) { return bytes_refusal(framed(header, "abcd")); };
  contains(bytes_refusal("1234567"), "got 7 bytes, expected at least 8");
  contains(bytes_refusal(std::string(64, '\xff')),
           "header of 18446744073709551615 bytes, expected at most 56");
  contains(bytes_refusal(framed("", "")), "does not begin with '{'");
  contains(with("[1]"), "does not begin with '{'");
  contains(with("{]"), "got \"]\" at byte 1, line 1 of the header, expected well-formed JSON");
  contains(with(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}} x)"), "well-formed JSON");
  contains(with(std::string(kOne) + std::string(1, '\0')), "NUL byte");
  contains(with("{\"\xff\":{}}"), "well-formed JSON");

  contains(with(R"({"a":{"dtype":"F4","shape":[8],"data_offsets":[0,5]}})"),
           "tensor a: got data up to byte 5");
  contains(with(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}})"),
           "tensor a: got 4 bytes, expected F32 of shape [4]");
  contains(with(R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]}})"),
           "tensor a: got data up to byte 5");
  contains(with(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}})"),
           "there is a hole before it");
  contains(with(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})"),
           "got 4 bytes after the header, expected the 3");
  contains(with(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})"), "hole");
  contains(with(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                R"("b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}})"),
           "tensor b: got data from byte 3, expected from 4; it overlaps");
  contains(with(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}})"), "tensor a");
  contains(with(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551615]}})"),
           "tensor a");
}

TEST_CASE("types of other names are carried along with their bytes, and read by nobody") {
  const TempFolder folder;
  folder.write("f", framed(R"({"a":{"dtype":"F4","shape":[8],"data_offsets":[0,4]},)"
                           R"("b":{"dtype":"a\"\\b","shape":[],"data_offsets":[4,7]},)"
                           R"("c":{"dtype":"U8","shape":[1],"data_offsets":[7,8]}})",
                           "1234567x"));
  const auto file = Safetensors::open(folder / "f");
  write_safetensors(folder / "again", file.tensors(), {});
  for (const auto& written : {file, Safetensors::open(folder / "again")}) {
    CHECK(written.get("a").dtype == DType::other);
    CHECK(written.get("a").type() == "F4");
    CHECK(written.get("b").type() == "a\"\\b");
    CHECK(written.get("a").shape == std::vector<std::int64_t>{8});
    CHECK(std::memcmp(written.get("a").data, "1234", written.get("a").bytes()) == 0);
    CHECK(written.get("a").bytes() == 4);
    CHECK(written.get("b").bytes() == 3);
    CHECK(*written.get("c").data == std::byte{'x'});
  }
  contains(error_of([&] { to_floats(file.get("a")); }), "tensor a: got F4, expected F32");
  for (const char* shape : {"9223372036854775807,2", "9223372036854775807", "40"})
    contains(bytes_refusal(framed(R"({"a":{"dtype":"F4","shape":[)" + std::string(shape) +
                                      R"(],"data_offsets":[0,4]}})",
                                  "abcd")),
             "tensor a: got 4 bytes, expected F4 of shape");
}

TEST_CASE("shapes that overflow are refused, not multiplied") {
  const auto with = [](std::string_view shape) {
    return bytes_refusal(framed(
        R"({"a":{"dtype":"F32","shape":[)" + std::string(shape) + R"(],"data_offsets":[0,4]}})",
        "abcd"));
  };
  contains(with("4294967296,4294967296"), "tensor a");  // 2^64 wraps to 0
  contains(with("4611686018427387905"), "tensor a");    // · 4 bytes wraps to 4
  contains(with("9223372036854775808"), "expected one below 2^63");
  contains(with("9223372036854775807,9223372036854775807,0"), "tensor a");
  std::string ones = "1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  contains(with(ones), "at most 64");
  contains(with("-1"), "got -1 under shape");
  contains(with("1.0"), "got 1.0 under shape");
  contains(with("[1]"), "an array under shape");
}

TEST_CASE("structures that are not a safetensors header are refused") {
  const auto with = [](std::string_view header) { return bytes_refusal(framed(header, "abcd")); };
  const std::string a = R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
  contains(with("{" + a + "," + a + "}"), "tensor a");
  contains(with("{" + a + R"(,"a":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}})"), "a twice");
  contains(with(R"({"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}})"),
           "under dtype");
  contains(with(R"({"a":{"dtype":"U8","shape":[4],"shape":[4],"data_offsets":[0,4]}})"),
           "under shape");
  contains(with(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"data_offsets":[0,4]}})"),
           "data_offsets");
  contains(with(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4,4]}})"), "data_offsets");
  contains(with(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0]}})"), "1 data_offsets");
  contains(with(R"({"a":{"dtype":"U8","shape":[4]}})"), "no data_offsets");
  contains(with(R"({"a":{"dtype":"U8","data_offsets":[0,4]}})"), "no shape");
  contains(with(R"({"a":{"shape":[4],"data_offsets":[0,4]}})"), "no dtype");
  contains(with(R"({"a":{"dtype":true}})"), "a boolean under dtype");
  contains(with(R"({"a":null})"), "got null");
  contains(with(R"({"a":7})"), "got a number");
  contains(with(R"({"a":[]})"), "got an array");
  contains(with(R"({"a":{"b":{}}})"), "got an object");
  contains(with(R"({"__metadata__":{"a":1}})"),
           "tensor __metadata__: got a number under a, expected a string");
  contains(with(R"({"__metadata__":{"a":{"b":"c"}}})"), "expected a string");
  contains(with(R"({"__metadata__":{"a":"1","a":"2"}})"), "the key a twice");
  contains(with(R"({"__metadata__":{},"__metadata__":{}})"), "two of them");
  std::string deep = R"({"a":)" + std::string(1 << 20, '[');
  contains(with(deep), "tensor a");
}

TEST_CASE("a header may not claim more than the format's limit, even when the file is that large") {
  const TempFolder folder;
  const std::uint64_t length = kMaxHeaderBytes + 1;
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  folder.write("f", bytes + "{");
  std::filesystem::resize_file(folder / "f", length + 16);  // sparse
  contains(error_of([&] { Safetensors::open(folder / "f"); }), "expected at most 100000000");
}

TEST_CASE("a folder of shards") {
  const TempFolder folder;
  const auto a = tensor("a", DType::u8, {1}, "x"), b = tensor("b", DType::u8, {2}, "yz");
  write_safetensors(folder / "model-00001-of-00002.safetensors", std::vector{a.view()}, {});
  write_safetensors(folder / "model-00002-of-00002.safetensors", std::vector{b.view()}, {});
  const auto index = [&](std::string_view map) {
    folder.write("model.safetensors.index.json",
                 R"({"metadata":{"total_size":3},"weight_map":)" + std::string(map) + "}");
    return error_of([&] { Safetensors::open_folder(folder.path()); });
  };
  const std::string good =
      R"("a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors")";
  REQUIRE(index("{" + good + "}") == "no error");
  const auto file = Safetensors::open_folder(folder.path());
  CHECK(file.tensors().size() == 2);
  CHECK(file.get("b").data[1] == std::byte{'z'});

  contains(index("{" + good + R"(,"c":"model-00003-of-00003.safetensors"})"),
           "no shard model-00003-of-00003.safetensors");
  contains(index("{" + good + R"(,"c":"model-00001-of-00002.safetensors"})"), "no tensor c");
  for (const char* path : {"../x", "/etc/passwd", "a\\\\b", "..", ".", "", "a\\u0000b"})
    contains(index(R"({"a":")" + std::string(path) + "\"}"), "plain file name");
  contains(index(R"({"a":7})"), "plain file name");
  contains(index("[]"), "no weight_map");
  contains(index("{}"), "no weight_map");
  contains(index("{"), "well-formed JSON");
  contains(index(std::string(5000, '[')), "nested deeper");
  const auto other = tensor("a", DType::u8, {3}, "uvw"), extra = tensor("c", DType::u8, {1}, "-");
  write_safetensors(folder / "model-00001-of-00002.safetensors",
                    std::vector{a.view(), extra.view()}, {});
  write_safetensors(folder / "model-00002-of-00002.safetensors",
                    std::vector{other.view(), b.view(), extra.view()}, {});
  REQUIRE(index("{" + good + "}") == "no error");  // what stands elsewhere too is not read there
  const Safetensors both = Safetensors::open_folder(folder.path());
  CHECK(both.tensors().size() == 3);
  CHECK(both.get("a").shape == std::vector<std::int64_t>{1});
  folder.write("model-00002-of-00002.safetensors", "cut");
  contains(index("{" + good + "}"), "model-00002-of-00002.safetensors: got 3 bytes");
}

TEST_CASE("files beside those that make the model are not looked at") {
  const TempFolder folder;
  const auto a = tensor("a", DType::u8, {1}, "x");
  const auto clutter = [&] {
    std::filesystem::create_symlink("../../blobs/missing", folder / "consolidated.safetensors");
    folder.write("garbage.safetensors", "not one");
    std::filesystem::create_directory(folder / "folder.safetensors");
  };
  write_safetensors(folder / "shard.safetensors", std::vector{a.view()}, {});
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"shard.safetensors"}})");
  clutter();
  CHECK(Safetensors::files_of(folder.path()) ==
        std::vector<std::filesystem::path>{folder / "shard.safetensors"});
  CHECK(Safetensors::open_folder(folder.path()).tensors().size() == 1);
  write_safetensors(folder / "model.safetensors", std::vector{a.view()}, {});
  CHECK(Safetensors::files_of(folder.path()) ==
        std::vector<std::filesystem::path>{folder / "model.safetensors"});
}

TEST_CASE("a folder without weights, a missing file, a folder in a file's place") {
  const TempFolder folder;
  contains(error_of([&] { Safetensors::open_folder(folder.path()); }),
           "neither model.safetensors nor");
  contains(error_of([&] { Safetensors::open(folder / "none"); }), "none");
  contains(error_of([&] { Safetensors::open(folder.path()); }), "not a file");
  folder.write("model.safetensors", "");
  contains(error_of([&] { Safetensors::open_folder(folder.path()); }), "got 0 bytes");
}
