#include "evaluate/logit_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "core/file.h"
#include "core/hash.h"
#include "karat/error.h"

namespace karat {
namespace {

namespace fs = std::filesystem;
using Metadata = std::map<std::string, std::string>;
constexpr const char* kVersionKey = "karat_logits";
constexpr const char* kVersion = "1";

Metadata metadata_of(const CacheFingerprint& f, const RowShape& shape, const CacheCheck& check) {
  return {{kVersionKey, kVersion},
          {"text_sha256", f.text_sha256},
          {"convention", f.convention},
          {"stride", std::to_string(f.stride)},
          {"limit", std::to_string(f.limit)},
          {"tokenizer_sha256", f.tokenizer_sha256},
          {"windows_sha256", f.windows_sha256},
          {"vocab", std::to_string(f.vocab)},
          {"tokens", std::to_string(f.rows)},
          {"original", f.original},
          {"original_sha256", f.original_sha256},
          {"top", std::to_string(shape.top)},
          {"sampled", std::to_string(shape.sampled)},
          {"check", check.noise ? "noise" : "candidate"},
          {"check_exact", fmt::format("{}", check.exact)},
          {"check_cached", fmt::format("{}", check.cached)},
          {"check_deviation", fmt::format("{}", check.deviation)}};
}

template <class T>
void append(std::vector<std::byte>& bytes, T value) {
  const auto* raw = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), raw, raw + sizeof value);
}

template <class T>
T load(const std::byte* bytes, std::int64_t index) {
  T value;
  std::memcpy(&value, bytes + static_cast<std::size_t>(index) * sizeof value, sizeof value);
  return value;
}

/// Reads the metadata's numbers and texts; each failure names the file and the key.
struct Facts {
  std::string where;
  const Metadata& metadata;

  const std::string& text(const std::string& key) const {
    const auto found = metadata.find(key);
    if (found == metadata.end()) fail(where, "no " + key + " in the metadata", "a whole cache");
    return found->second;
  }
  template <class T>
  T number(const std::string& key) const {
    const std::string& written = text(key);
    T value{};
    const auto [end, error] =
        std::from_chars(written.data(), written.data() + written.size(), value);
    if (error != std::errc{} || end != written.data() + written.size())
      fail(where, key + " that is no number", "a whole cache");
    return value;
  }
  void expect(const std::string& key, const std::string& value, const char* what) const {
    if (text(key) == value) return;
    fail(where, fmt::format("logits of another {}", what), fmt::format("the same {}", what),
         "write the cache again with --save-logits");
  }
};

void check_fingerprint(const Facts& facts, const CacheFingerprint& expected) {
  facts.expect("text_sha256", expected.text_sha256, "text");
  facts.expect("convention", expected.convention, "convention");
  facts.expect("stride", std::to_string(expected.stride), "stride");
  facts.expect("limit", std::to_string(expected.limit), "limit");
  facts.expect("vocab", std::to_string(expected.vocab), "vocabulary");
  facts.expect("tokenizer_sha256", expected.tokenizer_sha256, "tokenizer");
  facts.expect("windows_sha256", expected.windows_sha256, "context or tokens");
  facts.expect("tokens", std::to_string(expected.rows), "number of tokens");
}

const std::byte* tensor_data(const Safetensors& file, const std::string& where, const char* name,
                             DType dtype, const std::vector<std::int64_t>& shape) {
  const TensorView* tensor = file.find(name);
  if (tensor == nullptr || tensor->dtype != dtype || tensor->shape != shape)
    fail(where, std::string("no tensor ") + name + " of the right type and shape", "a whole cache");
  return tensor->data;
}

}  // namespace

std::string hash_windows(std::span<const Window> windows) {
  std::vector<std::byte> bytes;
  for (const Window& window : windows) {
    append(bytes, static_cast<std::int64_t>(window.ids.size()));
    append(bytes, window.first);
    for (const TokenId id : window.ids) append(bytes, id);
  }
  return sha256(bytes);
}

std::string hash_files(std::span<const fs::path> files) {
  std::string all;
  for (const fs::path& file : files)
    all += file.filename().string() + " " + sha256_file(file) + "\n";
  return sha256(std::as_bytes(std::span(all.data(), all.size())));
}

LogitRecorder::LogitRecorder(std::int64_t vocab, std::int64_t rows)
    : shape_(row_shape(vocab)),
      vocab_(vocab),
      nll_(static_cast<std::size_t>(rows)),
      rest_(nll_.size()),
      codes_(nll_.size() * static_cast<std::size_t>(shape_.entries())),
      ids_(codes_.size()) {}

CachedRow LogitRecorder::record(std::int64_t row, std::span<const float> logits,
                                const LogSoftmax& p, TokenId next) {
  CachedRow made = cache_row(logits, p, next, shape_, static_cast<std::uint64_t>(row));
  nll_[static_cast<std::size_t>(row)] = made.nll;
  rest_[static_cast<std::size_t>(row)] = made.rest;
  const auto begin = static_cast<std::ptrdiff_t>(row * shape_.entries());
  std::copy(made.ids.begin(), made.ids.end(), ids_.begin() + begin);
  std::copy(made.codes.begin(), made.codes.end(), codes_.begin() + begin);
  return made;
}

std::int64_t LogitRecorder::write(const Output& output, const CacheFingerprint& fingerprint,
                                  const CacheCheck& check) const {
  const auto rows = static_cast<std::int64_t>(nll_.size());
  const bool wide = vocab_ > kWideVocab;
  const std::vector<std::uint16_t> narrow(ids_.begin(), wide ? ids_.begin() : ids_.end());
  const auto bytes = [](const auto& values) { return std::as_bytes(std::span(values)).data(); };
  const std::vector<std::int64_t> matrix{rows, shape_.entries()};
  const std::vector<TensorView> tensors{
      {"nll", DType::f32, {rows}, bytes(nll_)},
      {"rest", DType::u16, {rows}, bytes(rest_)},
      {"ids", wide ? DType::u32 : DType::u16, matrix, wide ? bytes(ids_) : bytes(narrow)},
      {"log_p", DType::u16, matrix, bytes(codes_)}};
  AtomicFile file(output);
  write_safetensors(file.path(), tensors, metadata_of(fingerprint, shape_, check));
  file.commit();
  return static_cast<std::int64_t>(fs::file_size(output.path));
}

std::string not_logits(const fs::path& file) try {
  return Safetensors::open(file).metadata().contains(kVersionKey) ? "" : "no logits in it";
} catch (const Error&) {
  return "no logits in it";
}

LogitCache LogitCache::open(const fs::path& file, const CacheFingerprint& expected) {
  LogitCache cache;
  cache.file_ = Safetensors::open(file);
  const Facts facts{"logits " + file.string(), cache.file_.metadata()};
  if (!facts.metadata.contains(kVersionKey))
    fail(facts.where, "no cache of logits", "a file that --save-logits wrote");
  if (facts.text(kVersionKey) != kVersion)
    fail(facts.where, "another version", std::string("version ") + kVersion, "use a newer Karat");
  check_fingerprint(facts, expected);
  cache.rows_ = expected.rows;
  cache.wide_ = expected.vocab > kWideVocab;
  cache.shape_ = {facts.number<std::int64_t>("top"), facts.number<std::int64_t>("sampled")};
  if (cache.shape_.top < 1 || cache.shape_.top > expected.vocab || cache.shape_.sampled < 0 ||
      cache.shape_.sampled > expected.vocab)
    fail(facts.where, "rows of an impossible shape", "a whole cache");
  cache.original_ = facts.text("original");
  cache.original_sha256_ = facts.text("original_sha256");
  cache.check_ = {facts.text("check") == "noise", facts.number<double>("check_exact"),
                  facts.number<double>("check_cached"), facts.number<double>("check_deviation")};
  cache.find_tensors(facts.where);
  cache.check_rows(facts.where, expected.vocab);
  return cache;
}

void LogitCache::find_tensors(const std::string& where) {
  const std::vector<std::int64_t> rows{rows_}, matrix{rows_, shape_.entries()};
  const auto data = [&](const char* name, DType dtype, const std::vector<std::int64_t>& shape) {
    return tensor_data(file_, where, name, dtype, shape);
  };
  nll_ = data("nll", DType::f32, rows);
  rest_ = data("rest", DType::u16, rows);
  ids_ = data("ids", wide_ ? DType::u32 : DType::u16, matrix);
  codes_ = data("log_p", DType::u16, matrix);
}

void LogitCache::check_rows(const std::string& where, std::int64_t vocab) const {
  for (std::int64_t i = 0; i < rows_; ++i) {
    const CachedRow found = row(i);
    if (!std::isfinite(found.nll)) fail(where, "a loss that is no number", "a whole cache");
    for (const TokenId id : found.ids)
      if (id < 0 || id >= vocab)
        fail(where, fmt::format("token {}", id), fmt::format("ids below {}", vocab));
  }
}

CachedRow LogitCache::row(std::int64_t index) const {
  CachedRow row{.nll = load<float>(nll_, index), .rest = load<std::uint16_t>(rest_, index)};
  const std::int64_t entries = shape_.entries(), begin = index * entries;
  for (std::int64_t i = begin; i < begin + entries; ++i) {
    row.ids.push_back(wide_ ? static_cast<TokenId>(load<std::uint32_t>(ids_, i))
                            : static_cast<TokenId>(load<std::uint16_t>(ids_, i)));
    row.codes.push_back(load<std::uint16_t>(codes_, i));
  }
  file_.check();
  return row;
}

}  // namespace karat
