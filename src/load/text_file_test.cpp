#include "karat/text_file.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/rng.h"
#include "karat/text_notice.h"
#include "load/testing.h"
#include "load/text_kind.h"
#include "load/text_records.h"
#include "load/tokenizer_text.h"

namespace karat {
namespace {

using namespace std::string_view_literals;
using testing::TempFolder;

TextFile read(std::string_view content, const std::string& field = "text",
              std::string_view name = "t") {
  const TempFolder folder;
  folder.write(name, content);
  return TextFile::open(folder / name, field);
}

std::string text_refusal(std::string_view content, const std::string& field = "text") {
  return testing::error_of([&] { read(content, field); });
}

void check_refused(std::string_view content, std::string_view what, std::string_view hint = "") {
  const std::string error = text_refusal(content);
  CAPTURE(error);
  CHECK(error.find(what) != error.npos);
  CHECK(error.find(hint) != error.npos);
}

std::vector<std::string> records_of(const TextFile& file) {
  return {file.records().begin(), file.records().end()};
}

std::string in_utf16(std::string_view ascii, bool big) {
  std::string wide;
  for (const char c : ascii) wide += big ? std::string{'\0', c} : std::string{c, '\0'};
  return wide;
}

using List = std::vector<std::string>;

TEST_CASE("plain text is taken as it is, without a byte order mark") {
  CHECK(read("One.\n\nTwo é 漢 😀\n").text() == "One.\n\nTwo é 漢 😀\n");
  CHECK(read("\xef\xbb\xbfOne.").text() == "One.");
  CHECK(read("One.").bytes().size() == 4);
  CHECK(!read("One.").is_records());
}

TEST_CASE("text that only looks a little like JSON is text") {
  for (const char* text :
       {"{ int i = 0; }\n", "{\\bf bold}", "[1] a footnote", "[[link]] and [text](url)",
        "{{macro}}", "\"Quoted,\" he said.", "['a', 'b']", "[\"Quoted\"](url)",
        "{'text': 'a dict of Python'}", "A line.\n{\"a\": 1}\nAnother line.\n", "3.14", "{", "["})
    CHECK(read(text).text() == text);
}

TEST_CASE("records are told by their content: lines, objects in a row, an array") {
  const List both{"One.", "Two\nlines."};
  for (const char* text :
       {R"({"text": "One."}
{"text": "Two\nlines."})",
        "\xef\xbb\xbf{\"text\": \"One.\"}\r\n\r\n{\"text\": \"Two\\nlines.\"}\r\n",
        R"({"id": 7, "text": "One.", "m": {"text": "no", "l": ["}", {}]}} {"text":"Two\nlines."})",
        R"(
        {
          "text": "One."
        }
        {
          "text": "Two\nlines."
        })",
        R"([{"text": "One."}, {"text": "Two\nlines."}])", R"( [ {"text":"One."} ,
          {"text": "Two\nlines."} ] )"})
    for (const char* name : {"t.jsonl", "t.JSONL", "t.ndjson", "t.json", "t.txt", "t"}) {
      CAPTURE(text);
      const TextFile file = read(text, "text", name);
      CHECK(file.is_records());
      CHECK(records_of(file) == both);
      CHECK(file.text() == "One.\n\nTwo\nlines.");
    }
  CHECK(records_of(read(R"({"text": "a", "body": "quote \" brace } \\"})", "body")) ==
        List{"quote \" brace } \\"});
}

TEST_CASE("JSON strings are texts: one a line, or in one array") {
  const List both{"One.", "Two\nlines."};
  for (const char* text :
       {"\"One.\"\n\"Two\\nlines.\"\n", "\n\"One.\"\r\n\n  \"Two\\nlines.\" ",
        "[\"One.\", \"Two\\nlines.\"]", "[\n  \"One.\",\n  \"Two\\nlines.\"\n]\n"}) {
    CAPTURE(text);
    const TextFile file = read(text, "body");
    CHECK(records_of(file) == both);
    CHECK(file.text() == "One.\n\nTwo\nlines.");
  }
}

TEST_CASE("JSON text sequences (RFC 7464) are records") {
  CHECK(records_of(read("\x1e{\"text\": \"a\"}\n\x1e{\"text\": \"b\"}\n")) == List{"a", "b"});
  CHECK(records_of(read("\x1e\"a\"\n\x1e\"b\"\n")) == List{"a", "b"});
}

std::string repeated(std::string_view line, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += line;
  return text;
}

TEST_CASE("JSON in another dress is refused by name, never scored") {
  const std::string record = "{\"text\": \"a\"}\n", prose = "A line of prose.\n";
  check_refused("# c\n" + record, "JSON records below a comment in line 1", "tail -n +2 ");
  check_refused("\n// c\n//\n\n" + record + record, "JSON records below a comment", "tail -n +5 ");
  check_refused("// c\n{\n  \"text\": \"a\"\n}\n", "JSON records below a comment");
  check_refused("# c\n[\"a\", \"b\"]\n", "JSON records below a comment");
  check_refused("Title\n" + record + record,
                "“Title” in line 1, and JSON objects in 2 of the 3 lines up to line 3", "grep -v ");
  check_refused(repeated(prose, 64) + repeated(record, 32),
                "in line 1, and JSON objects in 32 of the 64 lines up to line 96", "grep ");
  check_refused(repeated(prose, 900) + repeated(record, 40) + repeated(prose, 900),
                "32 of the 64 lines up to line 932");
  check_refused(repeated(prose + record, 3), "JSON objects in 3 of the 6 lines");
  check_refused(repeated(prose + record, 90), "JSON objects in 32 of the 64 lines");
  check_refused("---\n" + repeated(record + "---\n\n", 40), "“---” in line 1");
  check_refused("\"a\\nb\"\n\"c\"\nbroken\"\n", "“broken\"” in line 3, and JSON strings in 2");
  check_refused("[\"a\", \"b\"]\n[\"c\"]\n", "JSON arrays in 2 lines", "jq -c '.[]' ");
  check_refused("[[\"a\"]]\n[{}]\n", "JSON arrays in 2 lines");
  check_refused("[1, 2]\n[3, -4]\n", "JSON arrays of numbers in 2 lines", "not its tokens");
  check_refused("data: " + record, "server-sent events: 1 lines", "sed -n ");
  check_refused("event: m\nid: 1\ndata: " + record + "\n: ping\ndata: [DONE]\n",
                "server-sent events: 1 lines");
  check_refused(prose + repeated("data:" + record, 2), "server-sent events: 2 lines");
}

TEST_CASE("text in which JSON stands is text") {
  const std::string record = "{\"text\": \"a\"}\n", prose = "A line of prose.\n";
  for (const std::string& text :
       {std::string("{\"a\", \"b\"},\n{\"c\", \"d\"},\n"),  // an initializer
        std::string("[{a: 1}, {b: 2}]\n"),
        std::string("[{\n  a: 1\n}]\n"),  // JavaScript
        "# Title\n\n" + prose + "```json\n" + record + record + "```\n",
        "# Title\n\n" + prose + "    {\n      \"text\": \"a\"\n    }\n",
        "Answer with:\n" + record,
        repeated(prose, 3) + repeated(record, 2),
        "# one\n" + record + "# two\n" + record,
        repeated(prose, 500) + repeated(record, 31) + repeated(prose, 500),
        std::string("x = [\n  {\"a\": 1},\n  {\"a\": 2},\n]\nprint(x)\n"),
        std::string("for x in y:\n    z = {}\nif (a) {\n}\n{}\n{}\n"),
        std::string("\"Come in,\" he said.\n\"No.\"\n\"Yes.\"\n\"Why?\"\nShe left.\n"),
        std::string("\"a\", \"b\"\n\"c\", \"d\"\n"),  // CSV
        std::string("[1] First.\n[2] Second.\n"),
        std::string("[]\n[x]\n"),
        std::string("[\"Quoted](url)\n\nand \"more\", too\n"),
        std::string("data: the plural of datum\n"),
        std::string("data: 5\nid: 7\n"),
        std::string("id: 7\nname: x\ndata: {\"a\": 1}\n"),  // YAML
        std::string("{'a': 1}\n{'a': 2}\n"),
        std::string("1\n2\ntrue\nnull\n"),
        std::string("\x1e") + prose}) {
    CAPTURE(text);
    CHECK(text_refusal(text) == "no error");
    if (text_refusal(text) == "no error") CHECK(read(text).text() == text);
  }
}

TEST_CASE("a bad record is an error that names its line, never text to score") {
  CHECK(
      text_refusal("{\"text\": \"a\"}\n\n{broken\n").find("t line 3: got an object without end") !=
      std::string::npos);
  check_refused("{\"text\": \"a\"}\nprose\n", "line 2: got “prose”", "read as JSON records");
  check_refused("{\"text\": \"a\"}\n{\"text\": 1 1}\n", "line 2", "well-formed JSON");
  check_refused("{\"text\": \"a\n{\"text\": \"b\"}\n{\"text\": \"c\"}\n", "line 1");
  check_refused("{\"text\": \"a\"}\n[1]", "line 2: got “[1]”");
  check_refused("[{\"text\": \"a\"}, \"b\"]", "line 1: got “\"b\"]”");
  check_refused("[1, 2]", "line 1: got “1, 2]”");
  check_refused("[\"a\", {\"text\": \"b\"}]", "expected a JSON string, as the file begins");
  check_refused("[\"a\",\n \"b", "line 2: got a string without end");
  check_refused("[\"a\", \"b\"", "an array without end");
  check_refused("[{\"text\": \"a\"},\n", "line 2: got an array without end");
  check_refused("[{\"text\": \"a\"}", "an array without end");
  check_refused("[{\"text\": \"a\"} {\"text\": \"b\"}]", "no comma");
  check_refused("[{\"text\": \"a\"}] x", "text after the end of an array");
}

TEST_CASE("a record without the text that was asked for says which texts it has") {
  check_refused("{\"id\": 1, \"body\": \"a\", \"title\": \"b\"}",
                "line 1: got no string \"text\": it has body, title", "--field");
  check_refused("{\"text\": null}", "got null under \"text\": it has no text at all");
  check_refused("{\"text\": 5}", "got a number (5) under \"text\": it has no text at all");
  check_refused("{\"text\": [\"a\"], \"b\": \"c\"}", "got an array under \"text\": it has b",
                "jq -c '.[\"text\"][]' ");
  check_refused("{\n  \"version\": \"1\",\n  \"data\": [\n    {\"text\": \"a\"}\n  ]\n}\n",
                "no string \"text\": it has version", "the list “data” becomes records with: jq");
  CHECK(text_refusal("{\"text\": \"a\"}", "body").find("no string \"body\": it has text") !=
        std::string::npos);
}

TEST_CASE("that records are read is said, unless the name says so") {
  const TempFolder folder;
  folder.write("plain", "One.");
  for (const char* name : {"a.jsonl", "a.JSONL", "a.json", "a.txt"})
    folder.write(name, "{\"body\": \"One.\"}");
  CHECK(text_notices(folder / "plain", "body").empty());
  CHECK(text_notices(folder / "a.jsonl", "body").empty());
  for (const char* name : {"a.JSONL", "a.json", "a.txt"}) {
    const auto notices = text_notices(folder / name, "body");
    REQUIRE(notices.size() == 1);
    CHECK(notices[0] == (folder / name).string() +
                            " holds JSON records; the text under \"body\" of each is read");
  }
}

TEST_CASE("that strings are read is said, and that a plain text has JSON objects in it") {
  const TempFolder folder;
  folder.write("a.jsonl", "\"One.\"");
  CHECK(text_notices(folder / "a.jsonl", "text") ==
        List{(folder / "a.jsonl").string() + " holds JSON strings; each is read as a document"});
  const std::string prose = "Line.\n";
  const auto notices = [&](int objects) {
    folder.write("t", repeated(prose, 9) + repeated("{\"a\": 1}\n", objects));
    return text_notices(folder / "t", "text");
  };
  CHECK(notices(2).empty());
  CHECK(notices(3) == List{(folder / "t").string() + " is read as plain text, and so are the JSON "
                                                     "objects in 3 of its 12 lines"});
}

TEST_CASE("nothing but blanks is no text") {
  for (const char* text : {"", " \n\t\r\n", "\xef\xbb\xbf", "{\"text\": \"\"}", "[]", "[ ]\n"})
    check_refused(text, "an empty text");
}

TEST_CASE("other encodings are named, with the command that converts them") {
  check_refused("\xff\xfe" + in_utf16("Hello", false), "UTF-16 text", "iconv -f UTF-16 -t UTF-8");
  check_refused("\xfe\xff" + in_utf16("Hello", true), "UTF-16 text");
  check_refused("\xff\xfe\0\0H\0\0\0"sv, "UTF-32 text", "iconv -f UTF-32");
  check_refused("\0\0\xfe\xff\0\0\0H"sv, "UTF-32 text");
  check_refused(in_utf16("Hello, world.\n", false), "UTF-16LE text without", "iconv -f UTF-16LE");
  check_refused(in_utf16("Hello, world.\n", true), "UTF-16BE text without");
  check_refused("One.\ncaf\xe9 au lait\n", "byte 0xe9 in line 2", "iconv -f LATIN1");
  check_refused("caf\xc3", "ends inside a character");
  check_refused("\xf0\x9f\x98", "ends inside a character");
  check_refused("x\n\xed\xa0\x80\xed\xb0\x80", "half of a UTF-16 pair in line 2, as CESU-8",
                "'surrogatepass'");
  check_refused("x\xed\xc0", "byte 0xed in line 1");
}

TEST_CASE("a suggested command takes any name of a file as one word") {
  const auto hint = [](std::string_view name, std::string_view content) {
    return testing::error_of([&] { read(content, "text", name); });
  };
  CHECK(hint("my text", "\x1f\x8b\x08").ends_with("/my text'"));
  CHECK(hint("my text", "\x1f\x8b\x08").find("gzip -dk '/") != std::string::npos);
  CHECK(hint("it's", "caf\xe9 au lait").ends_with(R"(/it'\''s'.txt)"));
  CHECK(hint("plain-1.txt", "\x1f\x8b\x08").ends_with("/plain-1.txt"));
}

TEST_CASE("compressed, columnar and other binary files are named") {
  check_refused("\x1f\x8b\x08 packed", "gzip-compressed data", "gzip -dk ");
  for (const char* old : {"\x1f\x9d\x90 packed", "\x1f\xa0 packed", "\x1f\x1e packed"})
    check_refused(old, "compress", "gzip -dc < ");
  check_refused("\x5d\0\0\x80\0packed"sv, "lzma-compressed data", "xz --format=lzma -dc ");
  check_refused("LZIP\x01 packed", "lzip-compressed data");
  check_refused("\x89LZO\0packed"sv, "lzop-compressed data");
  check_refused("\xff\x06\0\0sNaPpY packed"sv, "snappy-compressed data");
  check_refused("Rar!\x1a\x07 packed", "a RAR archive");
  std::string tar(257, '\0');
  tar.replace(0, 5, "a.txt").append("ustar");
  check_refused(tar, "a tar archive", "tar -xf ");
  check_refused("\x28\xb5\x2f\xfd packed", "zstd-compressed data", "zstd -d ");
  check_refused("\xfd\x37zXZ\0packed"sv, "xz-compressed data");
  check_refused("BZh91AY&SY packed", "bzip2-compressed data");
  check_refused("PK\x03\x04 packed", "a zip archive");
  check_refused("PAR1\x15\x04\0\x15PAR1"sv, "a Parquet file", "read_parquet");
  check_refused("ARROW1\0\0"sv, "an Arrow file", "lines=True");
  check_refused("\xff\xff\xff\xff\x98\0\0\0"sv, "an Arrow stream");
  check_refused("%PDF-1.4\n", "a PDF document");
  check_refused("{\\rtf1\\ansi text}", "an RTF document");
  check_refused("GGUF\x03\0\0\0"sv, "a GGUF model");
  check_refused("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull");
  check_refused("text\0text"sv, "binary data: a zero at byte 4");
  for (const char* text : {"BZhang wrote this.", "ORCs are green.", "PAR1 is a light.", "GGUF is",
                           "LZIP is slow.", "Rar!", "] alone"})
    CHECK(read(text).text() == text);
}

TEST_CASE("malformed UTF-8 is found where repairing it first changes something") {
  Rng rng(5);
  const List pieces{"a", "plain ", "é", "漢", "😀", "\xff", "\xc3", "\xe6\xbc", "\xf0\x9f", "\x80"};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::uint64_t i = rng.below(12); i > 0; --i) text += pieces[rng.below(pieces.size())];
    const std::string repaired = valid_utf8(text);
    const auto differ = std::mismatch(text.begin(), text.end(), repaired.begin(), repaired.end());
    std::size_t expected = std::string::npos;
    if (repaired != text) {  // U+FFFD begins with 0xef, which no piece does
      expected = static_cast<std::size_t>(differ.first - text.begin());
    }
    CHECK(find_malformed(text) == expected);
  }
}

TEST_CASE("records cut out of any whitespace are those that a parser finds") {
  Rng rng(6);
  const List blanks{"", " ", "\n", "\r\n", "\n\n", "\t"};
  const List texts{"", "a", "}", "{", "\"", "\\", "]", ",", "é\n", "[{\"text\": \"x\"}]"};
  for (int round = 0; round < 500; ++round) {
    const auto blank = [&] { return blanks[rng.below(blanks.size())]; };
    const bool array = rng.below(2) == 1;
    List expected;
    std::string text = array ? "[" : "";
    for (std::uint64_t i = 1 + rng.below(5); i > 0; --i) {
      expected.push_back(texts[rng.below(texts.size())]);
      nlohmann::json record = {{"n", {{"m", expected.back()}}}, {"text", expected.back()}};
      text += blank() + record.dump(rng.below(2) == 1 ? 1 : -1) + blank();
      if (array && i > 1) text += ",";
    }
    if (array) text += "]" + blank();
    CAPTURE(text);
    REQUIRE(records_in(text) == Records::objects);
    List found;
    for (JsonRecords records(text, "t"); records.next();)
      found.push_back(nlohmann::json::parse(records.record())["text"]);
    CHECK(found == expected);
  }
}

}  // namespace
}  // namespace karat
