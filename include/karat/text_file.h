// A text file: what it holds is told by its content, never by its name, and alike in every verb.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace karat {

/// UTF-8 text, with or without a byte order mark, or JSON records that hold texts: objects or
/// strings, one a line (JSON lines), one after another, or in one array. A file is JSON when it
/// begins as such records do ({"key":… or [{…), when all of it is one array, or when each line is a
/// string; then all of it must be. JSON in another dress is refused (docs/texts.md). A copy shares
/// what it holds.
class TextFile {
 public:
  /// Maps `file`. `field` is the key of a record's text; a string is its own. Throws Error naming
  /// what is there instead of text (another encoding, compressed, columnar or other binary data,
  /// JSON that is no records, nothing but blanks), or the line of the first record that is
  /// malformed or has no such text.
  static TextFile open(const std::filesystem::path& file, const std::string& field = "text");

  std::string_view text() const;  // all of it; of records, their texts joined by blank lines
  /// The texts of the records, in order; of plain text, nothing.
  std::span<const std::string_view> records() const;
  bool is_records() const { return !records().empty(); }
  std::span<const std::byte> bytes() const;  // of the file as it is
  /// Throws Error when the file was written to or cut since it was opened. To be called after
  /// reading, before what was made of it is used.
  void check() const;

 private:
  struct Content;
  std::shared_ptr<const Content> content_;
};

}  // namespace karat
