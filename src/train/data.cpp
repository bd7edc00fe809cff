#include "train/data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "core/hash.h"
#include "core/output.h"
#include "core/rng.h"
#include "core/text.h"
#include "core/threads.h"
#include "karat/error.h"

namespace karat {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kSeparatorLine = "<|endoftext|>";
constexpr std::size_t kRoundBytes = 2u << 20;  // of text between two reports of progress

/// Opens every file, so that a wrong one is known before any is tokenized.
std::string input_hash(const TextFiles& texts, const fs::path& tokenizer, TokenId separator) {
  std::string all = fmt::format("tokens 1 {}", separator);
  for (const fs::path& file : Tokenizer::files(tokenizer)) all += ' ' + sha256_file(file);
  for (const fs::path& path : texts.files) {
    const TextFile file = TextFile::open(path, texts.field);
    all += ' ' + sha256(file.bytes());
    if (file.is_records()) all += fmt::format(" texts \"{}\"", texts.field);
  }
  return sha256(std::as_bytes(std::span(all)));
}

/// Encodes documents[begin, end) in parallel and appends them, each after a separator.
void append_round(const Tokenizer& tokenizer, TokenId separator,
                  std::span<const std::string_view> documents, std::vector<TokenId>& ids) {
  std::vector<std::vector<TokenId>> parts(documents.size());
  parallel_for(static_cast<std::int64_t>(documents.size()), 1, [&](auto begin, auto end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      parts[i] = tokenizer.encode(documents[i], false);
  });
  for (const auto& part : parts) {
    ids.push_back(separator);
    ids.insert(ids.end(), part.begin(), part.end());
  }
}

std::vector<TokenId> tokenize(const TextFiles& texts, const fs::path& folder, TokenId separator,
                              const ProgressFn& listener) {
  const Tokenizer tokenizer = Tokenizer::open(folder);
  std::int64_t bytes = 0;
  for (const fs::path& file : texts.files) bytes += static_cast<std::int64_t>(fs::file_size(file));
  Progress progress("tokenize", bytes, listener);
  std::vector<TokenId> ids;
  for (const fs::path& path : texts.files) {
    const TextFile file = TextFile::open(path, texts.field);
    const auto documents = documents_of(file);
    std::size_t begin = 0, round = 0;
    for (std::size_t end = 1; end <= documents.size(); ++end) {
      round += documents[end - 1].size();
      if (round < kRoundBytes && end < documents.size()) continue;
      append_round(tokenizer, separator, std::span(documents).subspan(begin, end - begin), ids);
      progress.step(static_cast<std::int64_t>(round));
      begin = end;
      round = 0;
    }
    file.check();
  }
  return ids;
}

/// Two bytes per id where they fit.
OwnedTensor pack_ids(const std::vector<TokenId>& ids) {
  const auto count = static_cast<std::int64_t>(ids.size());
  const auto bytes = std::as_bytes(std::span(ids));
  if (!ids.empty() && std::ranges::max(ids) > 0xffff)
    return own_bytes("tokens", DType::i32, {count}, bytes);
  const std::vector<std::uint16_t> narrow(ids.begin(), ids.end());
  return own_bytes("tokens", DType::u16, {count}, std::as_bytes(std::span(narrow)));
}

template <typename Id>
void widen(const std::byte* from, std::int64_t count, std::int64_t* to) {
  for (std::int64_t i = 0; i < count; ++i) {
    Id id;
    std::memcpy(&id, from + static_cast<std::size_t>(i) * sizeof(Id), sizeof(Id));
    to[i] = id;
  }
}

}  // namespace

std::vector<std::string_view> separated_documents(std::string_view text) {
  std::vector<std::string_view> documents;
  const auto add = [&](std::string_view document) {
    document = trimmed(document);
    if (!document.empty()) documents.push_back(document);
  };
  std::size_t begin = 0;  // of the current document
  for (std::size_t line = 0; line < text.size();) {
    const std::size_t end = std::min(text.find('\n', line), text.size());
    if (trimmed(text.substr(line, end - line)) == kSeparatorLine) {
      add(text.substr(begin, line - begin));
      begin = end;
    }
    line = end + 1;
  }
  add(text.substr(begin));
  return documents;
}

std::vector<std::string_view> documents_of(const TextFile& file) {
  if (!file.is_records()) return separated_documents(file.text());
  std::vector<std::string_view> documents;
  for (const std::string_view record : file.records())
    if (!trimmed(record).empty()) documents.push_back(trimmed(record));
  return documents;
}

TokenStreamFile TokenStreamFile::open(const TextFiles& texts, const fs::path& tokenizer_folder,
                                      TokenId separator, const fs::path& cache_folder,
                                      const ProgressFn& listener) {
  TokenStreamFile stream;
  stream.hash_ = input_hash(texts, tokenizer_folder, separator);
  const fs::path cache = cache_folder / ("tokens-" + stream.hash_.substr(0, 16) + ".safetensors");
  if (!fs::exists(cache)) {
    const auto ids = tokenize(texts, tokenizer_folder, separator, listener);
    const OwnedTensor packed = pack_ids(ids);
    const TensorView view = packed.view();
    AtomicFile written(cache);
    write_safetensors(written.path(), {&view, 1}, {{"hash", stream.hash_}});
    written.commit();
  }
  stream.file_ = std::make_shared<const Safetensors>(Safetensors::open(cache));
  return stream;
}

torch::Tensor TokenStreamFile::slice(std::int64_t begin, std::int64_t length) const {
  const TensorView& view = tokens();
  torch::Tensor ids = torch::empty({1, length}, torch::kInt64);
  const std::byte* from = view.data + static_cast<std::size_t>(begin) * byte_size(view.dtype);
  auto* to = ids.data_ptr<std::int64_t>();
  if (view.dtype == DType::u16)
    widen<std::uint16_t>(from, length, to);
  else
    widen<std::int32_t>(from, length, to);
  file_->check();
  return ids;
}

WindowOrder::WindowOrder(std::int64_t stream_size, std::int64_t length, std::uint64_t seed)
    : stride_(length - 1), seed_(seed) {
  if (length < 2 || stream_size < length)
    fail("read text", fmt::format("{} tokens", stream_size),
         fmt::format("at least one sequence of {}", std::max<std::int64_t>(2, length)),
         "give more text or a shorter --sequence");
  per_pass_ = (stream_size - 1) / stride_;
  slack_ = stream_size - 1 - per_pass_ * stride_;
  if (per_pass_ > 1 && slack_ < stride_ / 2) {  // leave room for passes to begin elsewhere
    --per_pass_;
    slack_ += stride_;
  }
}

void WindowOrder::shuffle(std::int64_t pass) {
  Rng rng(Rng(seed_ + static_cast<std::uint64_t>(pass)).next());
  offset_ = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(slack_ + 1)));
  order_.resize(static_cast<std::size_t>(per_pass_));
  std::iota(order_.begin(), order_.end(), 0);
  for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[rng.below(i)]);
  pass_ = pass;
}

std::int64_t WindowOrder::begin_of(std::int64_t number) {
  if (number / per_pass_ != pass_) shuffle(number / per_pass_);
  return offset_ + stride_ * order_[static_cast<std::size_t>(number % per_pass_)];
}

}  // namespace karat
