#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "calibrate/stretch.h"
#include "core/hash.h"
#include "karat/calibrate.h"
#include "karat/error.h"

using namespace karat;

namespace {

const std::filesystem::path kTokenizers =
    std::filesystem::path(KARAT_SOURCE_DIR) / "tests/fixtures/tokenizers";

/// A file that vanishes with its test.
struct GivenText {
  GivenText(const std::string& name, const std::string& text)
      : path(std::filesystem::temp_directory_path() /
             ("karat_" + std::to_string(::getpid()) + "_" + name)) {
    std::ofstream(path, std::ios::binary) << text;
  }
  ~GivenText() { std::filesystem::remove(path); }
  std::filesystem::path path;
};

std::string numbered_lines(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "Line " + std::to_string(i) + " of a short story.\n";
  return text;
}

std::vector<TokenId> row(const CalibrationSet& set, std::int64_t index) {
  const auto ids = set.ids[index].contiguous();
  return {ids.data_ptr<std::int64_t>(), ids.data_ptr<std::int64_t>() + ids.numel()};
}

}  // namespace

TEST_CASE("sequences are distinct windows of the token stream, drawn by the seed") {
  const auto tokenizer = Tokenizer::open(kTokenizers / "gpt2");
  REQUIRE_FALSE(tokenizer.bos());
  std::string text;  // that never repeats itself
  for (int number = 100; number < 400; ++number) text += std::to_string(number) + " ";
  const GivenText file("story.txt", text);
  const CalibrationOptions options{.samples = 5, .length = 16, .seed = 3};
  const auto set = read_calibration(file.path, tokenizer, options);
  const auto stream = tokenizer.encode(text, false);
  CHECK(set.text_tokens == static_cast<std::int64_t>(stream.size()));
  CHECK(set.sha256 == sha256_file(file.path));
  CHECK(set.file == file.path.filename());
  CHECK(set.ids.sizes() == torch::IntArrayRef({5, 16}));
  std::set<std::size_t> places;
  for (std::int64_t i = 0; i < 5; ++i) {
    const auto window = row(set, i);
    for (std::size_t at = 0; at + 16 <= stream.size(); at += 16)
      if (std::equal(window.begin(), window.end(),
                     stream.begin() + static_cast<std::ptrdiff_t>(at)))
        places.insert(at);
  }
  CHECK(places.size() == 5);
  CHECK(set.ids.equal(read_calibration(file.path, tokenizer, options).ids));
  CHECK_FALSE(set.ids.equal(
      read_calibration(file.path, tokenizer, {.samples = 5, .length = 16, .seed = 4}).ids));
}

TEST_CASE("every sequence starts with the BOS the tokenizer puts in front") {
  const auto tokenizer = Tokenizer::open(kTokenizers / "llama3");
  REQUIRE(tokenizer.bos());
  const GivenText file("bos.txt", numbered_lines(60));
  const auto set = read_calibration(file.path, tokenizer, {.samples = 3, .length = 20});
  for (std::int64_t i = 0; i < 3; ++i) {
    const auto ids = row(set, i);
    CHECK(ids[0] == *tokenizer.bos());
    CHECK(std::count(ids.begin(), ids.end(), *tokenizer.bos()) == 1);
  }
}

TEST_CASE("the texts of JSON records are joined by blank lines, whatever the file is called") {
  const auto tokenizer = Tokenizer::open(kTokenizers / "gpt2");
  const GivenText lines("a.dump",
                        "{\"body\": \"One two three four.\"}\n\n{\"body\": \"Five six.\"}");
  const GivenText plain("a.txt", "One two three four.\n\nFive six.");
  const CalibrationOptions options{.samples = 1, .length = 6, .seed = 0, .field = "body"};
  CHECK(read_calibration(lines.path, tokenizer, options).records);
  CHECK(!read_calibration(plain.path, tokenizer, options).records);
  CHECK(read_calibration(lines.path, tokenizer, options)
            .ids.equal(read_calibration(plain.path, tokenizer, options).ids));
  CHECK_THROWS_WITH_AS(read_calibration(lines.path, tokenizer, {.samples = 1, .length = 6}),
                       doctest::Contains("line 1: got no string \"text\""), Error);
}

TEST_CASE("of a long text one stretch is read, cut at lines or at least at characters") {
  const std::string text = numbered_lines(500);
  std::set<std::string_view> seen;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    Rng rng(seed);
    const auto stretch = stretch_of(text, 1000, rng);
    CHECK(stretch.size() <= 1000);
    CHECK(stretch.size() > 900);
    CHECK(stretch.starts_with("Line "));
    CHECK(stretch.ends_with("story.\n"));
    seen.insert(stretch);
  }
  CHECK(seen.size() == 8);
  std::string accents;
  for (int i = 0; i < 100; ++i) accents += "é";  // two bytes
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    Rng rng(seed);
    const auto stretch = stretch_of(accents, 31, rng);
    CHECK(stretch.size() == 30);
    CHECK(stretch.starts_with("é"));
  }
  Rng rng(0);
  CHECK(stretch_of(text, text.size(), rng) == text);
}

TEST_CASE("calibration text that cannot serve is an error") {
  const auto tokenizer = Tokenizer::open(kTokenizers / "gpt2");
  const auto read = [&](const std::string& name, const std::string& text) {
    const GivenText file(name, text);
    read_calibration(file.path, tokenizer, {.samples = 2, .length = 64});
  };
  CHECK_THROWS_WITH_AS(read("e.txt", ""), doctest::Contains("an empty text"), Error);
  CHECK_THROWS_WITH_AS(read("e.txt", " \n\n\t"), doctest::Contains("an empty text"), Error);
  CHECK_THROWS_WITH_AS(read("s.txt", "A short text."),
                       doctest::Contains("at least 128 for 2 sequences of 64"), Error);
  CHECK_THROWS_WITH_AS(read("b.jsonl", "{\"text\": \"a\"}\n{broken"), doctest::Contains("line 2"),
                       Error);
  CHECK_THROWS_WITH_AS(read("u.txt", "\xff\xfeH\1i\1"), doctest::Contains("UTF-16 text"), Error);
  CHECK_THROWS_AS(read_calibration("no/such/file.txt", tokenizer, {}), Error);
  CHECK_THROWS_AS(read_calibration("x.txt", tokenizer, {.samples = 0}), Error);
  CHECK_THROWS_AS(read_calibration("x.txt", tokenizer, {.samples = 1, .length = 1}), Error);
}
