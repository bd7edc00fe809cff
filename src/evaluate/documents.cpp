#include "evaluate/documents.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/file.h"
#include "core/text.h"
#include "karat/error.h"
#include "load/characters.h"
#include "load/json.h"
#include "load/model_files.h"

namespace karat {
namespace {

constexpr std::string_view kSeparator = "<|endoftext|>";

/// The token that a JSON file of the folder gives under `key`: a text, {"content": text} or an id.
std::optional<TokenId> named_token(const nlohmann::json& json, const char* key,
                                   const Tokenizer& tokenizer) {
  if (!json.is_object()) return {};
  const auto found = json.find(key);
  if (found == json.end()) return {};
  if (found->is_number_integer() && *found >= 0 && *found < tokenizer.vocab_size())
    return found->get<TokenId>();
  const nlohmann::json& content =
      found->is_object() && found->contains("content") ? (*found)["content"] : *found;
  return content.is_string() ? tokenizer.find(content.get<std::string>()) : std::nullopt;
}

nlohmann::json read_json(const std::filesystem::path& model, const std::string& name) {
  const std::string text = model.empty() ? std::string() : model_text(model, name);
  return text.empty() ? nlohmann::json() : parse_json(text, (model / name).string());
}

}  // namespace

std::vector<std::string_view> split_documents(std::string_view text) {
  std::vector<std::string_view> documents;
  while (!text.empty()) {
    const std::size_t end = text.find(kSeparator);
    const std::string_view document = text.substr(0, end);
    text = end == text.npos ? std::string_view{} : text.substr(end + kSeparator.size());
    if (!trimmed(document).empty()) documents.push_back(document);
  }
  return documents;
}

std::vector<std::string_view> documents_of(const NamedText& text) {
  if (text.documents.empty()) return split_documents(text.text);
  std::vector<std::string_view> documents(text.documents.begin(), text.documents.end());
  std::erase_if(documents, [](std::string_view document) { return trimmed(document).empty(); });
  return documents;
}

NamedText named_text(const std::filesystem::path& file, const TextFile& text) {
  return {file.string(), text.text(), text.records()};
}

std::int64_t count_words(std::string_view text) {
  std::int64_t count = 1;
  for (bool inside = false; !text.empty();) {
    const std::size_t space = python_space_at(text);
    if (space > 0 && !inside) ++count;
    inside = space > 0;
    text.remove_prefix(std::max<std::size_t>(space, 1));
  }
  return count;
}

TokenId prefix_token(const Tokenizer& tokenizer, const std::filesystem::path& folder) {
  if (const auto bos = tokenizer.bos()) return *bos;
  const nlohmann::json of_tokenizer = read_json(folder, "tokenizer_config.json");
  const nlohmann::json of_model = read_json(folder, "config.json");
  for (const char* kind : {"bos_token", "eos_token"}) {
    if (const auto token = named_token(of_tokenizer, kind, tokenizer)) return *token;
    if (of_tokenizer.contains(kind)) continue;  // null: it says that there is none
    if (const auto token = named_token(of_model, (std::string(kind) + "_id").c_str(), tokenizer))
      return *token;
  }
  fail("convention lm-eval", "a tokenizer without BOS and EOS",
       "one of them, to stand before the first token", "use the convention documents");
}

std::string describe_bos(const Convention& convention, const Tokenizer& tokenizer) {
  const bool added = tokenizer.bos().has_value();
  if (convention.cut == Convention::Cut::rolling)
    return added ? "before every document, twice: the tokenizer's own is scored"
                 : "before every document (EOS without one): the tokenizer adds none";
  if (!added) return "none: the tokenizer adds none";
  if (convention.cut == Convention::Cut::documents) return "before every document";
  return convention.bos_every_window ? "before every window" : "once, before the text";
}

std::int64_t stride_of(const Convention& convention, std::int64_t length) {
  const std::int64_t stride =
      convention.stride == 0 ? std::max<std::int64_t>(1, length / 2) : convention.stride;
  if (stride < 1 || stride >= length)
    fail("stride", std::to_string(stride),
         "1 to " + std::to_string(length - 1) + ", below the length of a window");
  return stride;
}

}  // namespace karat
