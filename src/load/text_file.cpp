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
#include "load/text_survey.h"

namespace karat {

struct TextFile::Content {
  std::shared_ptr<const MappedFile> file;
  std::string joined;  // of records
  std::string_view text;
  std::vector<std::string_view> records;
};

namespace {

namespace fs = std::filesystem;
constexpr std::int64_t kManyObjects = 3;  // lines of a plain text: fewer are an example in it
constexpr std::size_t kRecordsLimit = std::size_t{4} << 30;  // bytes: their texts are copied

/// "a number (5)"
std::string type_of(const nlohmann::json& value) {
  const std::string type = value.type_name();
  if (value.is_null()) return type;
  const bool vowel = value.is_array() || value.is_object();
  const std::string named = (vowel ? "an " : "a ") + type;
  return value.is_primitive() ? fmt::format("{} ({})", named, excerpt(value.dump())) : named;
}

/// Where else a record has texts: under other keys, or in a list that jq takes apart.
std::string other_texts(const nlohmann::json& record) {
  std::string keys;
  for (const auto& [key, value] : record.items())
    if (value.is_string()) keys += (keys.empty() ? "" : ", ") + key;
  return keys.empty() ? "it has no text at all" : "it has " + excerpt(keys);
}

std::string how_to_find(const nlohmann::json& record, const std::string& file) {
  for (const auto& [key, value] : record.items())
    if (value.is_array() && !value.empty() && (value[0].is_object() || value[0].is_string()))
      return fmt::format(
          "name its key with --field; the list “{}” becomes records with: jq -c '.[{}][]' {} > {}",
          excerpt(key), excerpt(nlohmann::json(key).dump()), file, file + ".jsonl");
  return "name its key with --field";
}

/// The text of one record: of an object, that under `field`.
std::string text_of(const JsonRecords& records, const fs::path& file, const std::string& field) {
  const nlohmann::json record = parse_json(records.record(), records.place());
  if (record.is_string()) return record.get<std::string>();
  const auto found = record.find(field);
  if (found != record.end() && found->is_string()) return found->get<std::string>();
  const std::string got = found == record.end() ? "no string" : type_of(*found) + " under";
  fail("read " + records.place(), fmt::format("{} \"{}\": {}", got, field, other_texts(record)),
       "a document's text there", how_to_find(record, shell_word(file)));
}

struct Joined {
  std::string text;
  std::vector<std::pair<std::size_t, std::size_t>> parts;  // begin and size of each record's text
};

Joined join_records(std::string_view text, const fs::path& file, const std::string& field) {
  const std::string name = file.string();
  if (text.size() > kRecordsLimit)
    fail("read " + name, fmt::format("{} bytes of JSON", text.size()),
         fmt::format("at most {}", kRecordsLimit), "split it into several files");
  Joined joined;
  for (JsonRecords records(text, name); records.next();) {
    const std::string one = text_of(records, file, field);
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
  if (records_in(content->text) != Records::none) {
    Joined joined = join_records(content->text, file, field);
    content->joined = std::move(joined.text);
    content->text = content->joined;
    for (const auto& [begin, size] : joined.parts)
      content->records.push_back(content->text.substr(begin, size));
  } else {
    LineSurvey(content->text).refuse_json(file);
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
  std::shared_ptr<const MappedFile> mapped;
  try {
    mapped = open_utf8(file);
  } catch (const Error&) {  // gone since it was read
    return {};
  }
  const std::string_view text = without_mark(mapped->text());
  if (records_in(text) == Records::strings)
    return {fmt::format("{} holds JSON strings; each is read as a document", file.string())};
  if (records && file.extension() == ".jsonl") return {};
  if (records)
    return {fmt::format("{} holds JSON records; the text under \"{}\" of each is read",
                        file.string(), field)};
  const LineSurvey lines(text);
  if (lines.objects() < kManyObjects) return {};
  return {fmt::format("{} is read as plain text, and so are the JSON objects in {} of its {} lines",
                      file.string(), lines.objects(), lines.lines())};
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
