// The parts of a tokenizer, each against its naive twin or its definition.
#include <doctest/doctest.h>

#include <algorithm>

#include "core/rng.h"
#include "karat/error.h"
#include "load/tokenizer_added.h"
#include "load/tokenizer_bpe.h"
#include "load/tokenizer_regex.h"
#include "load/tokenizer_text.h"

using namespace karat;

namespace {

std::string random_word(Rng& rng, std::string_view alphabet, std::size_t length) {
  std::string word;
  for (std::size_t i = 0; i < length; ++i) word += alphabet[rng.below(alphabet.size())];
  return word;
}

// A vocabulary over a few letters with merges of random tokens: many ranks compete everywhere.
Bpe random_bpe(Rng& rng, BpeOptions options) {
  std::vector<std::string> tokens{"a", "b", "c", "d"};
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  while (tokens.size() < 60) {
    const std::size_t left = rng.below(tokens.size()), right = rng.below(tokens.size());
    const std::string merged = tokens[left] + tokens[right];
    if (merged.size() > 12) continue;
    pairs.emplace_back(left, right);
    if (std::find(tokens.begin(), tokens.end(), merged) == tokens.end()) tokens.push_back(merged);
  }
  Vocabulary vocabulary;
  for (std::size_t i = 0; i < tokens.size(); ++i)
    vocabulary.add(tokens[i], static_cast<std::int64_t>(i));
  vocabulary.add("?", 60);
  std::vector<Bpe::Pair> merges;
  for (const auto& [left, right] : pairs) merges.emplace_back(tokens[left], tokens[right]);
  return {std::move(vocabulary), merges, options};
}

std::vector<std::string> matches(std::string_view pattern, std::string_view text) {
  const Regex regex(pattern);
  std::vector<std::string> out;
  std::size_t from = 0;
  while (const auto match = regex.find(text, from)) {
    out.emplace_back(text.substr(match->begin, match->end - match->begin));
    from = match->end;
  }
  return out;
}

}  // namespace

TEST_CASE("merging by a heap gives what merging by scanning gives") {
  Rng rng(1);
  for (int round = 0; round < 200; ++round) {
    const bool odd = round % 2 == 1;
    const Bpe bpe = random_bpe(rng, {.unknown = 60, .fuse_unknown = odd, .ignore_merges = odd});
    for (int i = 0; i < 20; ++i) {
      const std::string word = random_word(rng, i % 2 ? "abcdx" : "ab", rng.below(40));
      std::vector<TokenId> fast, naive;
      bpe.encode(word, fast);
      bpe.encode_by_scanning(word, naive);
      CAPTURE(word);
      CHECK(fast == naive);
    }
  }
}

TEST_CASE("the word cache changes nothing") {
  Rng rng(2);
  const Bpe bpe = random_bpe(rng, {});
  WordCache cache(bpe);
  for (int i = 0; i < 2000; ++i) {
    const std::string word = random_word(rng, "ab", rng.below(6) + (i % 50 == 0 ? 80 : 0));
    std::vector<TokenId> cached{7}, direct{7};
    cache.encode(word, cached);
    bpe.encode(word, direct);
    CHECK(cached == direct);
  }
}

TEST_CASE("the first merge in the list wins, at its leftmost place") {
  Vocabulary vocabulary;
  const char* tokens[] = {"a", "b", "ab", "ba", "aba"};
  for (int i = 0; i < 5; ++i) vocabulary.add(tokens[i], i);
  const std::vector<Bpe::Pair> merges{{"b", "a"}, {"a", "b"}, {"ab", "a"}, {"a", "ba"}};
  const Bpe bpe(std::move(vocabulary), merges, {});
  const auto encode = [&](std::string_view word) {
    std::vector<TokenId> ids;
    bpe.encode(word, ids);
    return ids;
  };
  CHECK(encode("aba") == std::vector<TokenId>{4});  // a ba, then aba
  CHECK(encode("ab") == std::vector<TokenId>{2});
  CHECK(encode("bba") == std::vector<TokenId>{1, 3});
  CHECK(encode("bab") == std::vector<TokenId>{3, 1});  // ba before ab
  CHECK(encode("axb") == std::vector<TokenId>{2});  // no unknown token: x is dropped before merging
  CHECK(encode("").empty());
}

TEST_CASE("byte alphabet: 256 different characters, there and back") {
  std::string bytes;
  for (int b = 0; b < 256; ++b) bytes += static_cast<char>(b);
  CHECK(from_byte_alphabet(to_byte_alphabet(bytes)) == bytes);
  CHECK(to_byte_alphabet("A \n") == "AĠĊ");
  CHECK(to_byte_alphabet("\x7f\xa0\xad\xff") == "ġłŃÿ");
  CHECK(!from_byte_alphabet("A B"));  // the space itself is not in the alphabet
  CHECK(!from_byte_alphabet("漢"));
}

TEST_CASE("normal forms: Unicode's own examples, and ASCII in between") {
  CHECK(normalize("A\u030a e\u0301x \u1100\u1161\u11a8", NormalForm::nfc) == "Å éx 각");
  CHECK(normalize("Åx", NormalForm::nfd) == "A\u030ax");
  CHECK(normalize("ﬁ ½ ㎏", NormalForm::nfkc) == "fi 1\u20442 kg");
  CHECK(normalize("ﬁé", NormalForm::nfkd) == "fie\u0301");
  CHECK(normalize("q\u0307\u0323", NormalForm::nfc) == "q\u0323\u0307");  // marks are reordered
  CHECK(normalize(std::string("a\0e\u0301", 5), NormalForm::nfc) == std::string("a\0é", 4));
  CHECK(normalize("plain", NormalForm::nfc) == "plain");
}

TEST_CASE("added tokens: leftmost, then longest; flags") {
  std::vector<AddedToken> tokens{{.id = 0, .content = "ab"},
                                 {.id = 1, .content = "abc"},
                                 {.id = 2, .content = "bcd"},
                                 {.id = 3, .content = "W", .single_word = true},
                                 {.id = 4, .content = "L", .lstrip = true},
                                 {.id = 5, .content = "R", .rstrip = true}};
  std::vector<std::string> patterns;
  for (const auto& token : tokens) patterns.push_back(token.content);
  const AddedTokenMatcher matcher(tokens, patterns);
  const auto split = [&](std::string_view text) {
    std::string out;
    matcher.split(text, [&](std::string_view part, const AddedToken* token) {
      out += token ? "<" + std::to_string(token->id) + ":" + std::string(part) + ">"
                   : "(" + std::string(part) + ")";
    });
    return out;
  };
  CHECK(split("xabcd") == "(x)<1:abc>(d)");
  CHECK(split("abab") == "<0:ab><0:ab>");
  CHECK(split("xW W Wé") == "(xW )<3:W>( Wé)");
  CHECK(split("x \u3000L  L") == "(x)<4: \u3000L><4:  L>");
  CHECK(split("R \nx") == "<5:R \n>(x)");
  CHECK(split("") == "");
}

TEST_CASE("patterns mean what they mean to Oniguruma") {
  using List = std::vector<std::string>;
  CHECK(matches(R"(\s+)", "a\u180eb\u0085\u00a0c") == List{"\u0085\u00a0"});  // U+180E is no space
  CHECK(matches(R"([^\s\p{L}]+)", "a1\u3000é٣") == List{"1", "٣"});
  CHECK(matches(R"(\S+)", " añ\tb") == List{"añ", "b"});
  CHECK(matches("(?i:'s|k)", "'S'\u017f\u212a") == List{"'S", "'\u017f", "\u212a"});
  CHECK(matches(R"([\u4e00-\u9fa5]+|\p{Han})", "x漢字𠀀") == List{"漢字", "𠀀"});
  CHECK(matches(R"(\p{N}{1,3})", "12345") == List{"123", "45"});
  CHECK(matches("^a$", "a\nba\na") == List{"a", "a"});
}

TEST_CASE("patterns that the engines read differently are refused by name") {
  for (const char* pattern :
       {R"(\w+)", R"(\bx)", R"(\h)", "[a&&b]", "[a[b]]", "[[:alpha:]]", "(?m:.)", "a(?i)b",
        R"([\S])", "a{,3}", "a{2}+", "a{2}?", R"(\pL)", R"(\Qa\E)", "(?<n>a)", R"(\)", "a{"})
    CHECK_THROWS_WITH_AS(Regex{pattern}, doctest::Contains("read alike"), Error);
  for (const char* pattern : {"(", "[a", "*", R"(\p{Nonsense})"})
    CHECK_THROWS_AS(Regex{pattern}, Error);
  for (const char* pattern : {"", "a*", "a|", "(?=a)"})
    CHECK_THROWS_WITH_AS(Regex{pattern}, doctest::Contains("match nothing"), Error);
  CHECK_THROWS_WITH_AS(Regex{std::string(1 << 17, 'a')}, doctest::Contains("131072 bytes"), Error);
}

TEST_CASE("a pattern that backtracks without end fails in the end") {
  const Regex regex("(?:a|aa)+[bc]");
  const std::string text(200, 'a');
  CHECK_THROWS_WITH_AS(regex.find(text, 0), doctest::Contains("limit"), Error);
}
