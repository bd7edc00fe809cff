#include "karat/text_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "core/text.h"
#include "karat/error.h"
#include "karat/text_notice.h"
#include "load/json.h"
#include "load/text_kind.h"
#include "load/text_records.h"

namespace karat {

struct TextFile::Content {
  std::shared_ptr<const MappedFile> file;
  std::string joined;  // of records
  std::string_view text;
  std::vector<std::string_view> records;
};

namespace {

namespace fs = std::filesystem;
constexpr std::size_t kRecordsLimit = std::size_t{4} << 30;  // bytes: their texts are copied

std::string keys_of(const nlohmann::json& record) {
  std::string keys;
  for (const auto& [key, value] : record.items())
    if (value.is_string()) keys += (keys.empty() ? "" : ", ") + key;
  return keys.empty() ? "it has no text at all" : "it has " + excerpt(keys);
}

/// The text under `field` of one record.
std::string text_of(const JsonRecords& records, const std::string& field) {
  const nlohmann::json record = parse_json(records.record(), records.place());
  const auto found = record.find(field);
  if (found != record.end() && found->is_string()) return found->get<std::string>();
  fail("read " + records.place(), fmt::format("no string \"{}\": {}", field, keys_of(record)),
       "a document's text there", "name its key with --field");
}

struct Joined {
  std::string text;
  std::vector<std::pair<std::size_t, std::size_t>> parts;  // begin and size of each record's text
};

Joined join_records(std::string_view text, const std::string& name, const std::string& field) {
  if (text.size() > kRecordsLimit)
    fail("read " + name, fmt::format("{} bytes of JSON", text.size()),
         fmt::format("at most {}", kRecordsLimit), "split it into several files");
  Joined joined;
  for (JsonRecords records(text, name); records.next();) {
    const std::string one = text_of(records, field);
    if (!joined.text.empty()) joined.text += "\n\n";
    joined.parts.emplace_back(joined.text.size(), one.size());
    joined.text += one;
  }
  return joined;
}

}  // namespace

TextFile TextFile::open(const fs::path& file, const std::string& field) {
  auto content = std::make_shared<Content>();
  content->file = open_utf8(file);
  content->text = without_mark(content->file->text());
  if (holds_records(content->text)) {
    Joined joined = join_records(content->text, file.string(), field);
    content->joined = std::move(joined.text);
    content->text = content->joined;
    for (const auto& [begin, size] : joined.parts)
      content->records.push_back(content->text.substr(begin, size));
  }
  content->file->check();
  if (trimmed(content->text).empty())
    fail("read " + file.string(), "an empty text", "text to tokenize");
  TextFile opened;
  opened.content_ = std::move(content);
  return opened;
}

std::vector<std::string> text_notices(const fs::path& file, const std::string& field,
                                      bool records) {
  if (!records || file.extension() == ".jsonl") return {};
  return {fmt::format("{} holds JSON records; the text under \"{}\" of each is read", file.string(),
                      field)};
}

std::vector<std::string> text_notices(const fs::path& file, const std::string& field) {
  return text_notices(file, field, TextFile::open(file, field).is_records());
}

void TextFile::check() const {
  content_->file->check();
}

std::string_view TextFile::text() const {
  return content_->text;
}
std::span<const std::string_view> TextFile::records() const {
  return content_->records;
}
std::span<const std::byte> TextFile::bytes() const {
  return content_->file->bytes();
}

}  // namespace karat
