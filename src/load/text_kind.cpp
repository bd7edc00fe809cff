#include "load/text_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>

#include "core/checked.h"
#include "karat/error.h"
#include "load/tokenizer_text.h"

namespace karat {
namespace {

using namespace std::string_view_literals;
namespace fs = std::filesystem;

/// What a file's first bytes say it is, and what makes text of it; {} stands for its name.
struct Signature {
  std::string_view bytes, what, hint;
};

constexpr auto kUtf16Hint = "convert it: iconv -f UTF-16 -t UTF-8 {0} > {0}.txt"sv;
constexpr auto kUtf32Hint = "convert it: iconv -f UTF-32 -t UTF-8 {0} > {0}.txt"sv;
constexpr auto kColumns =
    "write its texts as JSON lines: pandas' read_parquet or read_feather, then "
    "to_json(orient='records', lines=True)"sv;
constexpr auto kGzipReads = "unpack it first: gzip -dc < {0} > {0}.txt"sv;
constexpr auto kSaveAsText = "save it as plain text (UTF-8) first"sv;

constexpr Signature kSignatures[] = {
    // of equal beginnings the longer one first
    {"\xff\xfe\0\0"sv, "UTF-32 text", kUtf32Hint},
    {"\0\0\xfe\xff"sv, "UTF-32 text", kUtf32Hint},
    {"\xff\xfe"sv, "UTF-16 text", kUtf16Hint},
    {"\xfe\xff"sv, "UTF-16 text", kUtf16Hint},
    {"\x1f\x8b"sv, "gzip-compressed data", "unpack it first: gzip -dk {0}"},
    {"\x1f\x9d"sv, "compress-ed data (.Z)", kGzipReads},
    {"\x1f\xa0"sv, "data compressed by LZH", kGzipReads},
    {"\x1f\x1e"sv, "data compressed by pack (.z)", kGzipReads},
    {"\x28\xb5\x2f\xfd"sv, "zstd-compressed data", "unpack it first: zstd -d {0}"},
    {"\xfd\x37zXZ\0"sv, "xz-compressed data", "unpack it first: xz -dk {0}"},
    {"BZh"sv, "bzip2-compressed data", "unpack it first: bzip2 -dk {0}"},
    {"\x04\x22\x4d\x18"sv, "lz4-compressed data", "unpack it first: lz4 -d {0}"},
    {"\x02\x21\x4c\x18"sv, "lz4-compressed data", "unpack it first: lz4 -d {0}"},
    {"LZIP\x01"sv, "lzip-compressed data", "unpack it first: lzip -dk {0}"},
    {"\x89LZO\0"sv, "lzop-compressed data", "unpack it first: lzop -d {0}"},
    {"\x5d\0\0"sv, "lzma-compressed data",
     "unpack it first: xz --format=lzma -dc {0} > {0}.txt"},
    {"\xff\x06\0\0sNaPpY"sv, "snappy-compressed data", "unpack it first: snzip -dk {0}"},
    {"Rar!\x1a\x07"sv, "a RAR archive", "unpack it first: unrar x {0}"},
    {"7z\xbc\xaf\x27\x1c"sv, "a 7z archive", "unpack it first: 7z x {0}"},
    {"PK\x03\x04"sv, "a zip archive", "unpack it first: unzip {0}"},
    {"PAR1"sv, "a Parquet file", kColumns},
    {"ARROW1"sv, "an Arrow file", kColumns},
    {"FEA1"sv, "a Feather file", kColumns},
    {"\xff\xff\xff\xff"sv, "an Arrow stream", kColumns},
    {"ORC"sv, "an ORC file", kColumns},
    {"Obj\x01"sv, "an Avro file", kColumns},
    {"\x89HDF\r\n\x1a\n"sv, "an HDF5 file", kColumns},
    {"SQLite format 3\0"sv, "an SQLite database", kColumns},
    {"\x93NUMPY"sv, "a NumPy array", "give the text, not its tokens"},
    {"GGUF"sv, "a GGUF model", "give a text"},
    {"%PDF-"sv, "a PDF document", "extract its text: pdftotext {0}"},
    {"{\\rtf"sv, "an RTF document", kSaveAsText},
    {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, "an Office document", kSaveAsText},
    {"version https://git-lfs.github.com/spec/"sv, "a git-lfs pointer, not the file itself",
     "fetch it: git lfs pull"},
};

bool is_continued(std::string_view bytes, const Signature& signature) {
  // Three or four letters may also begin a text; what follows them tells.
  if (signature.bytes == "BZh"sv) return bytes.substr(4).starts_with("1AY&SY"sv);
  if (signature.bytes == "ORC"sv || signature.bytes == "FEA1"sv || signature.bytes == "GGUF"sv)
    return bytes.find('\0') != bytes.npos;
  if (signature.bytes == "PAR1"sv) return bytes.ends_with("PAR1"sv);
  return true;
}

[[noreturn]] void refuse(const fs::path& file, const std::string& got, const std::string& hint) {
  fail("read " + file.string(), got, "UTF-8 text or JSON lines", hint);
}

/// Most of every second byte of UTF-16 text in a Latin script is 0.
std::string_view wide_encoding(std::string_view bytes) {
  const std::string_view head = bytes.substr(0, 512);
  std::size_t zeros[2] = {0, 0};
  for (std::size_t i = 0; i < head.size(); ++i) zeros[i % 2] += head[i] == '\0';
  const std::size_t many = head.size() / 4;
  if (zeros[1] > many && zeros[0] == 0) return "UTF-16LE";
  if (zeros[0] > many && zeros[1] == 0) return "UTF-16BE";
  return {};
}

void refuse_zeros(const fs::path& file, std::string_view bytes) {
  const std::size_t at = bytes.find('\0');
  if (at == bytes.npos) return;
  constexpr std::size_t kTarMark = 257;  // bytes of the first header before "ustar"
  if (bytes.size() > kTarMark && bytes.substr(kTarMark).starts_with("ustar"))
    refuse(file, "a tar archive", "unpack it first: tar -xf " + shell_word(file));
  if (const std::string_view encoding = wide_encoding(bytes); !encoding.empty())
    refuse(
        file, fmt::format("{} text without a byte order mark", encoding),
        fmt::format("convert it: iconv -f {0} -t UTF-8 {1} > {1}.txt", encoding, shell_word(file)));
  refuse(file, fmt::format("binary data: a zero at byte {}", at), "give a text");
}

/// Whether `text`, which begins with a malformed sequence, is the beginning of one character.
bool is_unfinished(std::string_view text) {
  const auto lead = static_cast<std::uint8_t>(text.front());
  return lead >= 0xc2 && lead < 0xf5 &&
         static_cast<std::size_t>(utf8_step(text).length) == text.size();
}

/// U+D800 to U+DFFF in three bytes: some programs write each half of a UTF-16 pair by itself.
bool is_surrogate(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  return text.size() >= 3 && byte(0) == 0xed && byte(1) >= 0xa0 && byte(1) < 0xc0 &&
         byte(2) >= 0x80 && byte(2) < 0xc0;
}
constexpr const char* kJoinPairs =
    "join the halves: python3 -c \"import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()"
    ".decode('utf-8', 'surrogatepass').encode('utf-16', 'surrogatepass')"
    ".decode('utf-16', 'replace').encode())\" < {0} > {0}.txt";

void refuse_malformed(const fs::path& file, std::string_view bytes) {
  const std::size_t at = find_malformed(bytes);
  if (at == bytes.npos) return;
  if (is_unfinished(bytes.substr(at)))
    refuse(
        file, "UTF-8 text that ends inside a character",
        fmt::format("leave that out: iconv -c -f UTF-8 -t UTF-8 {0} > {0}.txt", shell_word(file)));
  const std::string_view before = bytes.substr(0, at);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  if (is_surrogate(bytes.substr(at)))
    refuse(file, fmt::format("half of a UTF-16 pair in line {}, as CESU-8 writes it", line),
           fmt::format(kJoinPairs, shell_word(file)));
  refuse(file,
         fmt::format("byte 0x{:02x} in line {}, which is no UTF-8",
                     static_cast<std::uint8_t>(bytes[at]), line),
         fmt::format("convert it from its own encoding, such as Latin-1: iconv -f LATIN1 -t UTF-8 "
                     "{0} > {0}.txt",
                     shell_word(file)));
}

}  // namespace

std::string shell_word(const fs::path& file) {
  const std::string text = file.string();
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           "/._-+,:@%"sv.find(c) != std::string_view::npos;
  };
  if (std::ranges::all_of(text, is_plain)) return text;
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? R"('\'')" : std::string(1, c);
  return word + "'";
}

std::size_t find_malformed(std::string_view text) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080u;
  for (std::size_t at = 0; at < text.size();) {
    for (std::uint64_t eight = 0; at + 8 <= text.size(); at += 8) {
      std::memcpy(&eight, text.data() + at, 8);
      if ((eight & kHighBits) != 0) break;
    }
    if (at == text.size()) break;
    const Utf8Step step = utf8_step(text.substr(at));
    if (!step.valid) return at;
    at += static_cast<std::size_t>(step.length);
  }
  return std::string_view::npos;
}

std::string_view without_mark(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return text;
}

std::shared_ptr<const MappedFile> open_utf8(const fs::path& file) {
  auto mapped = MappedFile::open(file);
  const std::string_view bytes = mapped->text();
  checked(*mapped, [&] {  // zeros may be of a file that was cut
    for (const Signature& signature : kSignatures)
      if (bytes.starts_with(signature.bytes) && is_continued(bytes, signature))
        refuse(file, std::string(signature.what),
               fmt::format(fmt::runtime(signature.hint), shell_word(file)));
    refuse_zeros(file, bytes);
    refuse_malformed(file, bytes);
  });
  return mapped;
}

}  // namespace karat
