#include "karat/overlap.h"

#include <doctest/doctest.h>

#include <set>
#include <vector>

#include "core/hash.h"
#include "core/rng.h"
#include "load/testing.h"

namespace karat {
namespace {

using testing::TempFolder;

std::vector<std::string> naive_words(const std::string& text) {
  std::vector<std::string> words(1);
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c & 0x80) != 0;
    if (letter)
      words.back() += c;
    else if (!words.back().empty())
      words.emplace_back();
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

std::vector<std::string> naive_grams(const std::string& text) {
  const auto words = naive_words(text);
  std::vector<std::string> grams;
  for (std::size_t i = 0; i + 13 <= words.size(); ++i) {
    grams.emplace_back();
    for (std::size_t k = 0; k < 13; ++k) grams.back() += words[i + k] + " ";
  }
  return grams;
}

std::string random_text(std::size_t words, Rng& rng) {
  const std::vector<std::string> kWords{"the", "The", "cat", "sat", "on", "é", "7", "mat"};
  const std::vector<std::string> kGaps{" ", ", ", "\n", "  -- "};
  std::string text;
  for (std::size_t i = 0; i < words; ++i) text += kWords[rng.below(8)] + kGaps[rng.below(4)];
  return text;
}

TEST_CASE("13-gram hits are those of sets of strings") {
  Rng rng(3);
  for (int round = 0; round < 20; ++round) {
    const std::string shared = random_text(10 + rng.below(20), rng);
    const std::string calibration =
        random_text(200, rng) + shared + random_text(rng.below(30), rng);
    const std::string evaluation = random_text(rng.below(30), rng) + shared + random_text(150, rng);
    const auto grams = naive_grams(evaluation);
    const auto known = naive_grams(calibration);
    const std::set<std::string> set(known.begin(), known.end());
    std::int64_t hits = 0;
    for (const std::string& gram : grams) hits += set.contains(gram);
    const Overlap found = find_overlap(calibration, evaluation);
    CHECK(found.grams == static_cast<std::int64_t>(grams.size()));
    CHECK(found.hits == hits);
  }
}

TEST_CASE("case and punctuation do not hide an overlap, a changed word does") {
  const std::string twelve = "one two three four five six seven eight nine ten eleven twelve";
  const Overlap same =
      find_overlap(twelve + " thirteen", "ONE, two-three; " + twelve.substr(14) + "\nThirteen!");
  CHECK(same.grams == 1);
  CHECK(same.hits == 1);
  CHECK(overlap_warning(same).find("100 %") != std::string::npos);
  CHECK(find_overlap(twelve + " thirteen", twelve + " fourteen").hits == 0);
  CHECK(find_overlap(twelve, twelve).grams == 0);
  CHECK(find_overlap("", "").share() == 0);
  CHECK(overlap_warning(find_overlap("", twelve + " x")).empty());
}

TEST_CASE(
    "files: JSON records are read as their texts; a report's text is found by name and hash") {
  const TempFolder folder;
  Rng rng(4);
  const std::string text = random_text(40, rng);
  folder.write("evaluation.txt", text);
  std::string escaped = text;
  for (std::size_t at = 0; (at = escaped.find('\n', at)) != escaped.npos;)
    escaped.replace(at, 1, "\\n");
  folder.write("calibration.jsonl", "{\"body\": \"" + escaped + "\"}\n");
  const Overlap found =
      find_file_overlap({folder / "calibration.jsonl", "body"}, {folder / "evaluation.txt"});
  CHECK(found.hits == found.grams);
  CHECK(found.hits > 20);

  std::filesystem::create_directories(folder / "model");
  const auto reported = [&] {
    return reported_calibration(folder / "model", folder / "evaluation.txt");
  };
  CHECK(!reported());
  const std::string hash = sha256_file(folder / "calibration.jsonl");
  folder.write("model/karat_report.json",
               R"({"calibration": {"file": "calibration.jsonl", "field": "body", "sha256": ")" +
                   hash + "\"}}");
  REQUIRE(reported());
  CHECK(reported()->file == folder / "calibration.jsonl");
  CHECK(reported()->field == "body");
  folder.write("calibration.jsonl", "changed");
  CHECK(!reported());
  folder.write("model/karat_report.json", R"({"calibration": null})");
  CHECK(!reported());
}

}  // namespace
}  // namespace karat
