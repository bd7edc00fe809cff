#include "load/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "karat/error.h"
#include "load/json.h"

namespace karat {
namespace {

constexpr std::string_view kMetadata = "__metadata__";
constexpr std::size_t kMaxDimensions = 64;  // as many as a PyTorch tensor can have

struct Entry {
  TensorView view;
  std::vector<std::uint64_t> offsets;  // {begin, end} within the buffer
  bool has_dtype = false, has_shape = false;
};

/// Receives nlohmann's SAX events: unlike a parsed document, it sees duplicate keys, and it refuses
/// a deep or foreign structure before any memory is spent on it.
class HeaderEvents {
 public:
  HeaderEvents(std::string path, std::string_view text) : path_(std::move(path)), text_(text) {}
  std::vector<Entry> take_entries() { return std::move(entries_); }
  std::map<std::string, std::string> take_metadata() { return std::move(metadata_); }

  bool start_object(std::size_t) {
    if (where_ == Where::outside)
      where_ = Where::top;
    else if (where_ == Where::top)
      open_entry();
    else
      unexpected("an object");
    return true;
  }
  bool end_object() {
    if (where_ == Where::entry) close_entry();
    where_ = where_ == Where::top ? Where::outside : Where::top;
    return true;
  }
  bool start_array(std::size_t) {
    if (where_ == Where::entry && key_ == "shape" && !entries_.back().has_shape)
      where_ = Where::shape;
    else if (where_ == Where::entry && key_ == "data_offsets" && entries_.back().offsets.empty())
      where_ = Where::offsets;
    else
      unexpected("an array");
    return true;
  }
  bool end_array() {
    Entry& entry = entries_.back();
    if (where_ == Where::shape) entry.has_shape = true;
    if (where_ == Where::offsets && entry.offsets.size() != 2)
      reject(fmt::format("{} data_offsets", entry.offsets.size()), "2");
    where_ = Where::entry;
    return true;
  }
  bool key(std::string& text) {
    key_ = text;
    if (where_ == Where::top) name_ = text;
    return true;
  }
  bool string(std::string& text) {
    if (where_ == Where::metadata) {
      if (!metadata_.emplace(key_, text).second)
        reject("the key " + excerpt(key_) + " twice", "once");
    } else if (where_ == Where::entry && key_ == "dtype" && !entries_.back().has_dtype) {
      set_dtype(text);
    } else {
      unexpected("a string");
    }
    return true;
  }
  bool number_unsigned(std::uint64_t value) {
    if (where_ == Where::offsets && entries_.back().offsets.size() < 2)
      entries_.back().offsets.push_back(value);
    else if (where_ == Where::shape)
      add_extent(value);
    else
      unexpected("a number");
    return true;
  }
  bool number_integer(std::int64_t value) { return unexpected(fmt::format("{}", value)); }
  bool number_float(double, const std::string& text) { return unexpected(excerpt(text)); }
  bool boolean(bool) { return unexpected("a boolean"); }
  bool null() { return unexpected("null"); }
  bool binary(nlohmann::json::binary_t&) { return unexpected("binary data"); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error) {
    fail("read " + path_, json_problem(text_, error) + " of the header", "well-formed JSON");
  }

 private:
  enum class Where { outside, top, metadata, entry, shape, offsets };

  [[noreturn]] void reject(const std::string& got, const std::string& expected) const {
    fail(fmt::format("read {}, tensor {}", path_, excerpt(name_)), got, expected);
  }
  bool unexpected(const std::string& got) const {
    if (where_ == Where::metadata) reject(got + " under " + excerpt(key_), "a string");
    reject(where_ == Where::top ? got : got + " under " + excerpt(key_),
           "one dtype string, one shape and one pair of data_offsets of whole numbers");
  }
  void open_entry() {
    if (name_ == kMetadata) {
      if (has_metadata_) reject("two of them", "one");
      has_metadata_ = true;
      where_ = Where::metadata;
      return;
    }
    entries_.emplace_back().view.name = name_;
    where_ = Where::entry;
  }
  void close_entry() const {
    const Entry& entry = entries_.back();
    if (!entry.has_dtype) reject("no dtype", "one");
    if (!entry.has_shape) reject("no shape", "one");
    if (entry.offsets.empty()) reject("no data_offsets", "a pair");
  }
  void set_dtype(const std::string& text) {
    TensorView& view = entries_.back().view;
    view.dtype = find_dtype(text).value_or(DType::other);
    if (view.dtype == DType::other) view.other_type = text;
    entries_.back().has_dtype = true;
  }
  void add_extent(std::uint64_t value) {
    auto& shape = entries_.back().view.shape;
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      reject(fmt::format("a dimension of {}", value), "one below 2^63");
    if (shape.size() == kMaxDimensions)
      reject("a shape of more dimensions", fmt::format("at most {}", kMaxDimensions));
    shape.push_back(static_cast<std::int64_t>(value));
  }

  std::string path_, name_, key_;  // name_: key at the top; key_: the latest key
  std::string_view text_;
  Where where_ = Where::outside;
  bool has_metadata_ = false;
  std::vector<Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

std::uint64_t read_u64(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (int i = 7; i >= 0; --i)
    value = value << 8 | std::to_integer<std::uint64_t>(bytes[static_cast<std::size_t>(i)]);
  return value;
}

/// The JSON text between the length and the buffer.
std::string_view header_text(std::span<const std::byte> file, const std::string& path) {
  if (file.size() < 8)
    fail("read " + path, fmt::format("{} bytes", file.size()), "at least 8 for the header's length",
         "the file is not safetensors, or was cut off");
  const std::uint64_t length = read_u64(file);
  const std::size_t limit = std::min(kMaxHeaderBytes, file.size() - 8);
  if (length > limit)
    fail("read " + path, fmt::format("a header of {} bytes", length),
         fmt::format("at most {}", limit), "the file is not safetensors, or was cut off");
  const auto header = file.subspan(8, length);
  const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
  if (text.empty() || text.front() != '{')
    fail("read " + path, "a header that does not begin with '{'", "a JSON object",
         "the file is not safetensors");
  if (text.find('\0') != std::string_view::npos)  // nlohmann takes it for the end of the text
    fail("read " + path, "a NUL byte in the header", "JSON padded with spaces");
  return text;
}

/// Bytes that `view`'s shape needs; nothing when that does not fit in 64 bits.
std::optional<std::uint64_t> needed_bytes(const TensorView& view) {
  std::int64_t count = 1;
  for (const auto extent : view.shape)
    if (__builtin_mul_overflow(count, extent, &count)) return std::nullopt;
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(count, static_cast<std::int64_t>(byte_size(view.dtype)), &bytes))
    return std::nullopt;
  return static_cast<std::uint64_t>(bytes);
}

/// Sorts by offset, requires that the entries tile `buffer`, and points each view at its bytes.
void place(std::vector<Entry>& entries, std::span<const std::byte> buffer,
           const std::string& path) {
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.offsets < b.offsets; });
  std::uint64_t position = 0;
  for (Entry& entry : entries) {
    const std::string operation = fmt::format("read {}, tensor {}", path, excerpt(entry.view.name));
    const std::uint64_t begin = entry.offsets[0], end = entry.offsets[1];
    if (begin != position)
      fail(operation, fmt::format("data from byte {}", begin), fmt::format("from {}", position),
           begin < position ? "it overlaps another tensor" : "there is a hole before it");
    if (end < begin || end > buffer.size())
      fail(operation, fmt::format("data up to byte {}", end),
           fmt::format("at least {}, at most the {} that follow the header", begin, buffer.size()),
           "the file may be cut off");
    auto needed = needed_bytes(entry.view);
    if (needed && entry.view.dtype == DType::other &&  // of elements of a bit or more
        static_cast<std::uint64_t>(entry.view.numel()) / 8 <= end - begin) {
      needed = end - begin;
      entry.view.other_bytes = end - begin;
    }
    if (needed != end - begin)
      fail(operation, fmt::format("{} bytes", end - begin),
           fmt::format("{} of shape {}", excerpt(entry.view.type()), shape_text(entry.view.shape)));
    entry.view.data = buffer.data() + begin;
    position = end;
  }
  if (position != buffer.size())
    fail("read " + path, fmt::format("{} bytes after the header", buffer.size()),
         fmt::format("the {} that its tensors describe", position));
}

void refuse_twins(const std::vector<Entry>& entries, const std::string& path) {
  std::unordered_set<std::string_view> names;
  for (const Entry& entry : entries)
    if (!names.insert(entry.view.name).second)
      fail("read " + path, "the tensor " + excerpt(entry.view.name) + " twice", "once");
}

}  // namespace

SafetensorsContent parse_safetensors(std::span<const std::byte> file, const std::string& path) {
  const std::string_view text = header_text(file, path);
  HeaderEvents events(path, text);
  nlohmann::json::sax_parse(text.begin(), text.end(), &events);
  std::vector<Entry> entries = events.take_entries();
  refuse_twins(entries, path);
  place(entries, file.subspan(8 + text.size()), path);

  SafetensorsContent content{{}, events.take_metadata()};
  content.tensors.reserve(entries.size());
  for (Entry& entry : entries) content.tensors.push_back(std::move(entry.view));
  return content;
}

}  // namespace karat
