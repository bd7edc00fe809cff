#include "karat/tokenizer.h"

#include <algorithm>

#include "core/file.h"
#include "karat/error.h"
#include "load/tokenizer_impl.h"
#include "load/tokenizer_text.h"

namespace karat {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kFileLimit = 256 << 20;  // bytes; the largest in use have 35 MB

std::string read(const fs::path& file) {
  return read_text(file, kFileLimit);
}

}  // namespace

Tokenizer Tokenizer::open(const fs::path& folder) {
  const fs::path json = folder / "tokenizer.json", model = folder / "tokenizer.model";
  if (fs::exists(json)) return Tokenizer(Impl::from_json(read(json), json.string()));
  if (fs::exists(model)) {
    const fs::path config = folder / "tokenizer_config.json";
    return Tokenizer(Impl::from_sentencepiece(read(model), fs::exists(config) ? read(config) : "",
                                              model.string()));
  }
  fail("open tokenizer", folder.string() + " without one", "tokenizer.json or tokenizer.model",
       "copy them from the original model's folder");
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool special) const {
  return impl_->encode(valid_utf8(text), special);
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  return impl_->decode(ids, skip_special);
}

std::optional<TokenId> Tokenizer::bos() const {
  return impl_->bos();
}
std::optional<TokenId> Tokenizer::find(std::string_view token) const {
  return impl_->find(token);
}
std::int64_t Tokenizer::vocab_size() const {
  return impl_->vocab_size();
}

std::vector<fs::path> Tokenizer::files(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const char* name :
       {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
        "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja"})
    if (fs::exists(folder / name)) out.push_back(folder / name);
  return out;
}

namespace {

bool is_inside_character(std::string_view text, std::size_t at) {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
}

// Where `text` goes on after `printed`. They differ only when bytes that had formed characters
// turn out to belong to a malformed run; what is printed stays.
std::size_t continuation(std::string_view printed, std::string_view text) {
  const auto differ = std::mismatch(printed.begin(), printed.end(), text.begin(), text.end());
  auto at = static_cast<std::size_t>(differ.second - text.begin());
  while (is_inside_character(text, at)) --at;
  return at;
}

}  // namespace

// Decoding is not a sum over tokens (the first loses its space, bytes join into characters), so
// the ids since the last text but one are decoded together and their known part is cut off.
std::string TokenStream::push(TokenId id) {
  ids_.push_back(id);
  const std::string text = tokenizer_.decode(ids_);
  if (text.ends_with("\xEF\xBF\xBD")) return {};  // perhaps an unfinished character
  const std::string news = text.substr(continuation(printed_, text));
  if (news.empty()) return {};
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(context_));
  context_ = ids_.size();
  printed_ = tokenizer_.decode(ids_);
  return news;
}

std::string TokenStream::finish() {
  const std::string text = tokenizer_.decode(ids_);
  const std::string rest = text.substr(continuation(printed_, text));
  ids_.clear();
  printed_.clear();
  context_ = 0;
  return rest;
}

}  // namespace karat
