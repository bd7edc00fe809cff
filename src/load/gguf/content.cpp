#include "load/gguf/content.h"

#include <fmt/format.h>

#include <bit>
#include <optional>
#include <set>

#include "core/block.h"
#include "karat/error.h"
#include "load/gguf/reader.h"
#include "load/json.h"

namespace karat {
namespace {

constexpr std::size_t kLeastValue = 8 + 1 + 4 + 1;           // a key of one byte, a type, a byte
constexpr std::size_t kLeastTensor = 8 + 1 + 4 + 8 + 4 + 8;  // a name of one byte, one extent
constexpr std::size_t kMostKey = 65535, kMostName = 63;      // bytes; ggml's limits
constexpr std::uint32_t kMostDimensions = 4;
constexpr const char* kAlignment = "general.alignment";

/// Bytes of an element; 0: not of a fixed size.
std::size_t size_of(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    default:
      return 0;
  }
}

GgufType read_type(GgufReader& reader) {
  const auto type = reader.number<std::uint32_t>("a type");
  if (type > static_cast<std::uint32_t>(GgufType::f64))
    reader.reject(fmt::format("type {}", type), "one of 0 to 12");
  return static_cast<GgufType>(type);
}

bool read_flag(GgufReader& reader) {
  const auto value = reader.number<std::uint8_t>("a flag");
  if (value > 1) reader.reject(fmt::format("the flag {}", value), "0 or 1");
  return value == 1;
}

GgufArray read_array(GgufReader& reader) {
  GgufArray array{.type = read_type(reader)};
  if (array.type == GgufType::array) reader.reject("an array of arrays", "an array of values");
  const bool text = array.type == GgufType::text;
  array.count = reader.count(text ? 8 : size_of(array.type), "elements");
  if (!text) {
    array.bytes = reader.take(array.count * size_of(array.type), "an array");
    return array;
  }
  GgufReader texts = reader;
  const std::uint64_t begin = reader.position();
  for (std::uint64_t i = 0; i < array.count; ++i) texts.text("a text");
  array.bytes = reader.take(texts.position() - begin, "an array");
  return array;
}

GgufValue read_value(GgufReader& reader) {
  switch (read_type(reader)) {
    case GgufType::u8:
      return static_cast<std::uint64_t>(reader.number<std::uint8_t>("a value"));
    case GgufType::i8:
      return static_cast<std::int64_t>(reader.number<std::int8_t>("a value"));
    case GgufType::u16:
      return static_cast<std::uint64_t>(reader.number<std::uint16_t>("a value"));
    case GgufType::i16:
      return static_cast<std::int64_t>(reader.number<std::int16_t>("a value"));
    case GgufType::u32:
      return static_cast<std::uint64_t>(reader.number<std::uint32_t>("a value"));
    case GgufType::i32:
      return static_cast<std::int64_t>(reader.number<std::int32_t>("a value"));
    case GgufType::f32:
      return static_cast<double>(reader.number<float>("a value"));
    case GgufType::boolean:
      return read_flag(reader);
    case GgufType::text:
      return reader.text("a text");
    case GgufType::array:
      return read_array(reader);
    case GgufType::u64:
      return reader.number<std::uint64_t>("a value");
    case GgufType::i64:
      return reader.number<std::int64_t>("a value");
    default:
      return reader.number<double>("a value");
  }
}

void read_values(GgufReader& reader, std::uint64_t count, GgufContent& content) {
  for (std::uint64_t i = 0; i < count; ++i) {
    reader.enter(fmt::format("key {} of {}", i + 1, count));
    const std::string key(reader.text("a key"));
    if (key.empty() || key.size() > kMostKey)
      reader.reject(fmt::format("a key of {} bytes", key.size()), fmt::format("1 to {}", kMostKey));
    reader.enter("key " + excerpt(key));
    if (content.values.contains(key)) reader.reject("the key twice", "once");
    content.values.emplace(key, read_value(reader));
  }
  reader.enter({});
}

std::vector<std::int64_t> read_shape(GgufReader& reader) {
  const auto dimensions = reader.number<std::uint32_t>("dimensions");
  if (dimensions < 1 || dimensions > kMostDimensions)
    reader.reject(fmt::format("{} dimensions", dimensions),
                  fmt::format("1 to {}", kMostDimensions));
  std::vector<std::int64_t> shape(dimensions);
  std::int64_t elements = 1;
  for (std::size_t i = dimensions; i-- > 0;) {  // the file has the innermost first
    shape[i] = reader.number<std::int64_t>("an extent");
    if (shape[i] < 1 || __builtin_mul_overflow(elements, shape[i], &elements))
      reader.reject(fmt::format("an extent of {}", shape[i]),
                    "positive extents whose product is below 2^63");
  }
  return shape;
}

/// ggml's plain types; those of blocks are found by their numbers.
std::optional<DType> plain_type(std::uint32_t id) {
  switch (id) {
    case 0:
      return DType::f32;
    case 1:
      return DType::f16;
    case 24:
      return DType::i8;
    case 25:
      return DType::i16;
    case 26:
      return DType::i32;
    case 27:
      return DType::i64;
    case 28:
      return DType::f64;
    case 30:
      return DType::bf16;
    default:
      return std::nullopt;
  }
}

[[noreturn]] void refuse_type(const GgufReader& reader, std::uint32_t id) {
  std::string names = "F32, F16, BF16";
  for (const auto& [name, type] : block_table()) names += fmt::format(", {}", type().name);
  reader.reject(fmt::format("the tensor type {}", id), "one of " + names);
}

struct Placed {
  TensorView view;
  std::uint64_t offset = 0, bytes = 0;
};

Placed read_tensor(GgufReader& reader) {
  Placed tensor;
  const std::string name(reader.text("a name"));
  if (name.empty() || name.size() > kMostName)
    reader.reject(fmt::format("a name of {} bytes", name.size()),
                  fmt::format("1 to {}", kMostName));
  reader.enter("tensor " + excerpt(name));
  std::vector<std::int64_t> shape = read_shape(reader);
  const auto id = reader.number<std::uint32_t>("a type");
  const BlockType* block = find_block_type(id);
  const auto plain = plain_type(id);
  if (block == nullptr && !plain) refuse_type(reader, id);
  const std::int64_t values = block != nullptr ? block->values : 1;
  const std::int64_t size =
      block != nullptr ? block->bytes : static_cast<std::int64_t>(byte_size(*plain));
  if (shape.back() % values != 0)
    reader.reject(fmt::format("rows of {}", shape.back()),
                  fmt::format("a multiple of {}, the block of {}", values, block->name));
  std::int64_t bytes = 0;
  tensor.view = block != nullptr ? block_view(name, *block, std::move(shape), nullptr)
                                 : TensorView{name, *plain, std::move(shape)};
  if (__builtin_mul_overflow(tensor.view.numel() / values, size, &bytes))
    reader.reject("a tensor of " + shape_text(tensor.view.shape), "less than 2^63 bytes");
  tensor.bytes = static_cast<std::uint64_t>(bytes);
  tensor.offset = reader.number<std::uint64_t>("an offset");
  return tensor;
}

std::vector<Placed> read_tensors(GgufReader& reader, std::uint64_t count) {
  std::vector<Placed> tensors;
  std::set<std::string> names;
  for (std::uint64_t i = 0; i < count; ++i) {
    reader.enter(fmt::format("tensor {} of {}", i + 1, count));
    tensors.push_back(read_tensor(reader));
    if (!names.insert(tensors.back().view.name).second) reader.reject("the name twice", "once");
  }
  reader.enter({});
  return tensors;
}

std::uint64_t alignment_of(const GgufReader& reader, const GgufContent& content) {
  constexpr std::uint64_t kDefault = 32, kMost = 1u << 20;
  const auto found = content.values.find(kAlignment);
  if (found == content.values.end()) return kDefault;
  const auto* value = std::get_if<std::uint64_t>(&found->second);
  if (value == nullptr || !std::has_single_bit(*value) || *value > kMost)
    reader.reject(value == nullptr ? "general.alignment of another type"
                                   : fmt::format("general.alignment {}", *value),
                  fmt::format("a power of two up to {}", kMost));
  return *value;
}

/// Every tensor begins where the one before it ends, at the next multiple of the alignment.
void place_tensors(GgufReader& reader, std::vector<Placed> tensors, GgufContent& content) {
  const std::uint64_t alignment = alignment_of(reader, content);
  const auto padded = [&](std::uint64_t n) { return (n + alignment - 1) / alignment * alignment; };
  if (tensors.empty()) return;
  reader.take(padded(reader.position()) - reader.position(), "padding");
  const std::uint64_t room = reader.left();
  const auto data = reader.take(room, "tensors");
  std::uint64_t next = 0;
  for (Placed& tensor : tensors) {
    reader.enter("tensor " + excerpt(tensor.view.name));
    if (tensor.offset != next)
      reader.reject(fmt::format("the offset {}", tensor.offset),
                    fmt::format("{}, where the tensor before it ends", next));
    if (tensor.bytes > room - next)
      reader.reject(fmt::format("{} bytes of it at {}", tensor.bytes, next),
                    fmt::format("at most the {} that the file still has", room - next),
                    "the file is damaged or its download was cut off");
    tensor.view.data = data.data() + next;
    next = std::min(room, padded(next + tensor.bytes));  // the last one may lack its padding
    content.tensors.push_back(std::move(tensor.view));
  }
}

void read_version(GgufReader& reader) {
  const auto version = reader.number<std::uint32_t>("a version");
  if (version == 2 || version == 3) return;
  const bool swapped = version != 0 && (version & 0xffff) == 0;
  reader.reject(swapped ? "a big-endian file" : fmt::format("version {}", version),
                "version 2 or 3, little-endian",
                version == 1 ? "convert the model again with a llama.cpp of today" : "");
}

template <class Number>
std::vector<double> widened(const GgufArray& array) {
  std::vector<double> numbers(static_cast<std::size_t>(array.count));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    Number value;
    std::memcpy(&value, array.bytes.data() + i * sizeof value, sizeof value);
    numbers[i] = static_cast<double>(value);
  }
  return numbers;
}

}  // namespace

GgufContent parse_gguf(std::span<const std::byte> file, const std::string& path) {
  GgufReader reader(file, path);
  const auto magic = reader.take(4, "a file");
  if (std::memcmp(magic.data(), "GGUF", 4) != 0) reader.reject("a file without its magic", "GGUF");
  read_version(reader);
  const std::uint64_t tensors = reader.count(kLeastTensor, "tensors");
  const std::uint64_t values = reader.count(kLeastValue, "keys");
  GgufContent content;
  read_values(reader, values, content);
  place_tensors(reader, read_tensors(reader, tensors), content);
  return content;
}

std::vector<std::string_view> texts_of(const GgufArray& array) {
  std::vector<std::string_view> texts;
  GgufReader reader(array.bytes, "an array of texts");
  for (std::uint64_t i = 0; i < array.count; ++i) texts.push_back(reader.text("a text"));
  return texts;
}

std::vector<double> numbers_of(const GgufArray& array) {
  switch (array.type) {
    case GgufType::u8:
    case GgufType::boolean:
      return widened<std::uint8_t>(array);
    case GgufType::i8:
      return widened<std::int8_t>(array);
    case GgufType::u16:
      return widened<std::uint16_t>(array);
    case GgufType::i16:
      return widened<std::int16_t>(array);
    case GgufType::u32:
      return widened<std::uint32_t>(array);
    case GgufType::i32:
      return widened<std::int32_t>(array);
    case GgufType::f32:
      return widened<float>(array);
    case GgufType::u64:
      return widened<std::uint64_t>(array);
    case GgufType::i64:
      return widened<std::int64_t>(array);
    case GgufType::f64:
      return widened<double>(array);
    default:
      return {};
  }
}

}  // namespace karat
