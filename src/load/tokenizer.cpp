#include "karat/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "karat/error.h"
#include "load/folder.h"
#include "load/gguf/model.h"
#include "load/json.h"
#include "load/tokenizer_impl.h"
#include "load/tokenizer_text.h"

namespace karat {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kFileLimit = 256 << 20;  // bytes; the largest in use have 35 MB

std::string read(const fs::path& file) {
  return read_text(file, kFileLimit);
}

std::string read_if_there(const fs::path& file) {
  return fs::exists(file) ? read(file) : std::string();
}

std::string model_type_in(const fs::path& folder) {
  const fs::path config = folder / "config.json";
  if (!is_there(config)) return {};
  const nlohmann::json json = parse_json(read(config), config.string());
  const auto type = json.is_object() ? json.find("model_type") : json.end();
  return json.is_object() && type != json.end() && type->is_string() ? type->get<std::string>()
                                                                     : std::string();
}

constexpr const char* kSaveAgain =
    "write a tokenizer.json with transformers: AutoTokenizer.from_pretrained(FOLDER)."
    "save_pretrained(FOLDER)";

/// A line of base64 and a rank: OpenAI's format, under a name that sentencepiece models have too.
bool is_tiktoken(std::string_view text) {
  const std::string_view line = text.substr(0, std::min<std::size_t>(text.find('\n'), 1024));
  const std::size_t space = line.find(' ');
  constexpr std::string_view kBase64 =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
  return space != line.npos && space >= 4 && space % 4 == 0 &&
         line.substr(0, space).find_first_not_of(kBase64) == line.npos &&
         line.find_first_not_of("0123456789\r", space + 1) == line.npos;
}

[[noreturn]] void refuse_other_kinds(const fs::path& folder) {
  constexpr std::pair<const char*, const char*> kKinds[] = {
      {"tekken.json", "Mistral's tekken tokenizer"},
      {"tiktoken.model", "a tiktoken vocabulary"},
      {"qwen.tiktoken", "a tiktoken vocabulary"},
      {"spiece.model", "a sentencepiece model of T5's or ALBERT's kind"},
      {"sentencepiece.bpe.model", "a sentencepiece model of XLM-RoBERTa's kind"},
      {"vocab.txt", "a WordPiece vocabulary"},
      {"vocab.json", "a vocab.json without merges.txt, as WordLevel has it"}};
  for (const auto& [file, kind] : kKinds)
    if (is_there(folder / file))
      fail("open tokenizer", fmt::format("{} ({})", (folder / file).string(), kind),
           "tokenizer.json or tokenizer.model", kSaveAgain);
  fail("open tokenizer", folder.string() + " without one",
       "tokenizer.json or tokenizer.model, or vocab.json and merges.txt",
       "copy them from the original model's folder");
}

constexpr const char* kFiles[] = {"tokenizer.json",
                                  "tokenizer.model",
                                  "tokenizer_config.json",
                                  "special_tokens_map.json",
                                  "added_tokens.json",
                                  "vocab.json",
                                  "merges.txt"};

std::shared_ptr<const Tokenizer::Impl> open_gguf_tokenizer(const fs::path& file) {
  const GgufModel model = GgufModel::open(file);
  const std::map<std::string, std::string> made = gguf_tokenizer(model);
  const SideFiles side{.config = made.at("tokenizer_config.json")};
  const auto json = made.find("tokenizer.json");
  return json != made.end()
             ? Tokenizer::Impl::from_json(json->second, file.string(), side)
             : Tokenizer::Impl::from_sentencepiece(made.at("tokenizer.model"), file.string(), side);
}

}  // namespace

Tokenizer Tokenizer::open(const fs::path& folder) {
  if (is_gguf(folder)) return Tokenizer(open_gguf_tokenizer(folder));
  const fs::path json = folder / "tokenizer.json", model = folder / "tokenizer.model",
                 vocab = folder / "vocab.json", merges = folder / "merges.txt";
  for (const char* name : kFiles) refuse_dangling(folder / name);
  const SideFiles side{read_if_there(folder / "tokenizer_config.json"),
                       read_if_there(folder / "special_tokens_map.json"),
                       read_if_there(folder / "added_tokens.json")};
  if (fs::exists(json)) return Tokenizer(Impl::from_json(read(json), json.string(), side));
  if (fs::exists(model)) {
    const std::string bytes = read(model);
    if (is_tiktoken(bytes))
      fail("open tokenizer", model.string() + " (a tiktoken vocabulary)", "a sentencepiece model",
           kSaveAgain);
    return Tokenizer(Impl::from_sentencepiece(bytes, model.string(), side));
  }
  if (fs::exists(vocab) && fs::exists(merges))
    return Tokenizer(
        Impl::from_merges(read(vocab), read(merges), vocab.string(), side, model_type_in(folder)));
  refuse_other_kinds(folder);
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
std::optional<std::string> Tokenizer::piece(TokenId id) const {
  return impl_->piece(id);
}
std::int64_t Tokenizer::vocab_size() const {
  return impl_->vocab_size();
}

std::vector<fs::path> Tokenizer::files(const fs::path& folder) {
  if (is_gguf(folder)) return {folder};
  std::vector<fs::path> out;
  for (const char* name : kFiles)
    if (is_there(folder / name)) out.push_back(folder / name);
  if (fs::exists(folder / "chat_template.jinja")) out.push_back(folder / "chat_template.jinja");
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

TokenStream::TokenStream(const Tokenizer& tokenizer, std::span<const TokenId> before)
    : tokenizer_(tokenizer),
      ids_(before.begin(), before.end()),
      context_(ids_.size()),
      printed_(tokenizer.decode(ids_)) {}

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
