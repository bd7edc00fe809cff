#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "evaluate/default_convention.h"
#include "evaluate/documents.h"
#include "evaluate/testing.h"
#include "karat/evaluate.h"
#include "karat/text_evaluation.h"

namespace karat {
namespace {

using testing::Bigrams;
using testing::error_of;
using testing::letter;
using testing::random_letters;

/// The tokens with BOS in front, as encode() gives them.
std::vector<TokenId> stream_of(std::string_view text, bool bos) {
  std::vector<TokenId> stream;
  if (bos) stream.push_back(0);
  for (const char c : text) stream.push_back(c == ' ' ? 27 : letter(c));
  return stream;
}

TEST_CASE("strided windows predict each token once, with length − stride tokens before it") {
  const Bigrams model(true, 20);
  const Tokenizer tokenizer = Tokenizer::open(model.folder.path());
  for (const std::size_t letters : {1, 5, 19, 20, 50, 61})
    for (const std::int64_t stride : {1, 7, 10, 19}) {
      CAPTURE(letters);
      CAPTURE(stride);
      Convention convention = find_convention("strided");
      convention.stride = stride;
      const std::string text = random_letters(letters);
      const auto stream = stream_of(text, true);
      const auto cut = cut_text(convention, tokenizer, model.folder.path(), {"t", text}, 20);
      // Naive: token t belongs to the first of the windows [k·stride, k·stride + 20) that holds it.
      std::map<std::int64_t, std::vector<TokenId>> expected;  // token -> what is before it
      for (std::int64_t t = 1; t < static_cast<std::int64_t>(stream.size()); ++t) {
        std::int64_t begin = 0;
        while (begin + 20 <= t) begin += stride;
        expected[t] = {stream.begin() + begin, stream.begin() + t};
      }
      std::map<std::int64_t, std::vector<TokenId>> found;
      std::int64_t begin = 0;
      for (const Window& window : cut.windows) {
        for (std::int64_t i = window.first; i + 1 < static_cast<std::int64_t>(window.ids.size());
             ++i)
          found[begin + i + 1] = {window.ids.begin(), window.ids.begin() + i + 1};
        begin += stride;
      }
      CHECK(found == expected);
      std::int64_t scored = 0;
      for (const Window& window : cut.windows) scored += window.scored();
      CHECK(scored == static_cast<std::int64_t>(expected.size()));
      CHECK(cut.stride == stride);
    }
  Convention convention = find_convention("strided");
  for (const std::int64_t stride : {-1, 20, 1000}) {
    convention.stride = stride;
    CHECK(error_of([&] {
            cut_windows(convention, tokenizer, {"t", "abc"}, 20);
          }).find("1 to 19") != std::string::npos);
  }
}

TEST_CASE("strided windows of a model that looks back: as one forward pass for every token") {
  const testing::TempFolder folder;
  auto config = testing::tiny_config();
  config["max_position_embeddings"] = 16;
  testing::write_tiny_llama(folder.path(), config);
  folder.write("tokenizer.json", testing::letters_tokenizer(true));
  const LanguageModel model = LanguageModel::open(folder.path());
  Convention convention = find_convention("strided");
  convention.stride = 6;
  const std::string text = random_letters(40);
  const auto stream = stream_of(text, true);
  double sum = 0;
  for (std::size_t t = 1; t < stream.size(); ++t) {
    std::size_t begin = 0;
    while (begin + 16 <= t) begin += 6;
    testing::Alone alone(model);
    const auto logits = alone.next_logits(std::span(stream).subspan(begin, t - begin));
    double total = 0;
    for (const float logit : logits) total += std::exp(double(logit));
    sum += std::log(total) - double(logits[static_cast<std::size_t>(stream[t])]);
  }
  const Evaluation result = evaluate_text(model, {"t", text}, convention);
  CHECK(result.tokens == 40);
  CHECK(result.stride == 6);
  CHECK(result.perplexity.nll == doctest::Approx(sum / 40).epsilon(1e-5));
}

/// The windows of loglikelihood_rolling as pairs: what the model reads, what it predicts.
using Pair = std::pair<std::vector<TokenId>, std::vector<TokenId>>;
std::vector<Pair> rolling_pairs(TokenId prefix, const std::vector<TokenId>& tokens,
                                std::int64_t context) {
  std::vector<Pair> pairs;
  std::vector<TokenId> all{prefix};
  all.insert(all.end(), tokens.begin(), tokens.end());
  const auto at = [&](std::int64_t place) { return all.begin() + place; };
  std::int64_t done = 0;  // predicted tokens
  const auto total = static_cast<std::int64_t>(tokens.size());
  while (done < total) {
    const std::int64_t now = std::min(context, total - done);
    const std::int64_t end = done + now;
    const std::int64_t read = done == 0 ? now : context;  // later windows are always full
    pairs.push_back({{at(end - read), at(end)}, {at(end - now + 1), at(end + 1)}});
    done = end;
  }
  return pairs;
}

TEST_CASE("lm-eval cuts each document as loglikelihood_rolling does") {
  for (const bool bos : {true, false}) {
    const Bigrams model(bos, 8);
    model.folder.write("tokenizer_config.json", R"({"bos_token": {"content": "<s>"}})");
    const Tokenizer tokenizer = Tokenizer::open(model.folder.path());
    for (const std::size_t letters : {1, 6, 7, 8, 9, 15, 16, 17, 30}) {
      CAPTURE(letters);
      const std::string text = random_letters(letters);
      const auto pairs = rolling_pairs(0, stream_of(text, bos), 8);
      const auto cut =
          cut_text(find_convention("lm-eval"), tokenizer, model.folder.path(), {"t", text}, 8);
      REQUIRE(cut.windows.size() == pairs.size());
      for (std::size_t i = 0; i < pairs.size(); ++i) {
        const std::vector<TokenId>& ids = cut.windows[i].ids;
        CHECK(std::vector<TokenId>(ids.begin(), ids.end() - 1) == pairs[i].first);
        CHECK(std::vector<TokenId>(ids.begin() + cut.windows[i].first + 1, ids.end()) ==
              pairs[i].second);
      }
    }
  }
}

TEST_CASE("JSON records are the documents of conventions that read documents") {
  const std::vector<std::string_view> records{"abab", " \n", "b<|endoftext|>a"};
  const NamedText listed{"t", "abab\n\n \n\n\nb<|endoftext|>a", records};
  CHECK(documents_of(listed) == std::vector<std::string_view>{"abab", "b<|endoftext|>a"});
  CHECK(documents_of({"t", listed.text}) == std::vector<std::string_view>{"abab\n\n \n\n\nb", "a"});
}

TEST_CASE("lm-eval: words, bytes and bits of the documents as they are") {
  const Bigrams model(true, 8);
  const std::string text =
      "ab cd\xc2\xa0"
      "<|endoftext|> \n<|endoftext|> xyz  w<|endoftext|>abcdefghijk";
  const Evaluation result = evaluate_text(model.open(), {"t", text}, find_convention("lm-eval"), 2);
  REQUIRE(result.units);
  CHECK(result.units->documents == 2);
  CHECK(result.units->words == 3 + 3);  // "ab" "cd" ""; "" "xyz" "w"
  CHECK(result.units->bytes == 7 + 7);
  // The no-break space is two bytes that the tokenizer does not know, so the second alone is exact.
  const Evaluation whole = evaluate_text(model.open(), {"t", " xyz  w<|endoftext|>abcdefghijk"},
                                         find_convention("lm-eval"));
  double nll = 0;
  for (const std::string_view document : {" xyz  w", "abcdefghijk"}) {
    TokenId before = 0;  // BOS as prefix, then the tokenizer's own, which is predicted
    for (const TokenId next : stream_of(document, true)) {
      nll -= model.log_p(before, next);
      before = next;
    }
  }
  const TextUnits& units = *whole.units;
  CHECK(whole.tokens == 8 + 12);
  CHECK(units.words == 4);
  CHECK(units.bytes == 18);
  CHECK(units.word.value == doctest::Approx(std::exp(nll / 4)).epsilon(1e-5));
  CHECK(units.byte.value == doctest::Approx(std::exp(nll / 18)).epsilon(1e-5));
  CHECK(units.bits_per_byte == doctest::Approx(nll / 18 / std::log(2)).epsilon(1e-5));
  const double error = whole.perplexity.standard_error / whole.perplexity.value * 20;  // of nll
  CHECK(units.byte.standard_error == doctest::Approx(units.byte.value * error / 18).epsilon(1e-5));
  CHECK(units.bits_per_byte_error == doctest::Approx(error / 18 / std::log(2)).epsilon(1e-5));
}

TEST_CASE("words are what runs of white space part") {
  CHECK(count_words("one") == 1);
  CHECK(count_words("one two") == 2);
  CHECK(count_words(" one \n\t two ") == 4);
  CHECK(count_words("a\u2003b\u3000c\xc2\x85"
                    "d") == 4);
  CHECK(count_words("a\u200bb") == 1);  // zero width space: str.isspace() says no
  CHECK(count_words("a\x1f"
                    "b") == 2);
}

TEST_CASE("the prefix of lm-eval: BOS, else EOS, from the folder's files") {
  const Bigrams model(false, 8);
  const Tokenizer tokenizer = Tokenizer::open(model.folder.path());
  const auto prefix = [&] { return prefix_token(tokenizer, model.folder.path()); };
  CHECK(error_of([&] { prefix(); }).find("without BOS and EOS") != std::string::npos);
  model.folder.write("tokenizer_config.json", R"({"bos_token": null, "eos_token": "b"})");
  CHECK(prefix() == letter('b'));
  model.folder.write("tokenizer_config.json", R"({"bos_token": "c", "eos_token": "b"})");
  CHECK(prefix() == letter('c'));
  std::filesystem::remove(model.folder / "tokenizer_config.json");
  model.folder.write("config.json", R"({"bos_token_id": 5})");
  CHECK(prefix() == 5);
  const Bigrams with_bos(true, 8);
  CHECK(prefix_token(Tokenizer::open(with_bos.folder.path()), model.folder.path()) == 0);
}

TEST_CASE("where BOS stands is said") {
  const Bigrams with(true, 8), without(false, 8);
  const auto said = [](const Bigrams& model, const char* convention) {
    return describe_bos(find_convention(convention), Tokenizer::open(model.folder.path()));
  };
  CHECK(said(with, "hf") == "once, before the text");
  CHECK(said(with, "llamacpp512") == "before every window");
  CHECK(said(with, "documents") == "before every document");
  CHECK(said(without, "documents") == "none: the tokenizer adds none");
  CHECK(said(with, "lm-eval") != said(without, "lm-eval"));
}

TEST_CASE("few windows of a long context are told of, with the conventions that fit the text") {
  const auto notice = [](std::int64_t windows, std::int64_t context, std::int64_t limit = 0) {
    const auto lines = few_windows_notice({"t.txt", ""}, windows, context, limit);
    CHECK(lines.size() <= 1);
    return lines.empty() ? "none" : lines.front();
  };
  CHECK(notice(1, 131072).find(
            "t.txt: the convention hf makes one window of it, of 131072 tokens") == 0);
  CHECK(notice(2, 8192).find("makes two windows") != std::string::npos);
  CHECK(notice(2, 8192).ends_with("The convention hf2048 or llamacpp512 compares with others"));
  CHECK(notice(2, 1024).ends_with("The convention llamacpp512 compares with others"));
  CHECK(notice(3, 8192) == "none");
  CHECK(notice(1, 512) == "none");   // no convention has shorter windows
  CHECK(notice(1, 1023) == "none");  // llamacpp512 wants two of them
  CHECK(notice(2, 8192, 2) == "none");
  CHECK(notice(1, 8192, 2) != "none");
}

TEST_CASE("who names no convention is told of few windows, who names hf is not") {
  const Bigrams model(true, 1100);
  model.folder.write("text.txt", random_letters(1300));
  TextJob job{.model = model.folder.path(), .text = model.folder / "text.txt"};
  const TextEvaluation found = evaluate_text(job);
  CHECK(found.evaluations.at(0).convention == "hf");
  REQUIRE(found.warnings.size() == 1);
  CHECK(found.warnings[0].find("makes one window of it, of 1100 tokens") != std::string::npos);
  job.conventions = "hf";
  CHECK(evaluate_text(job).warnings.empty());
  job.conventions = "";
  job.stride = 1000;
  const TextEvaluation strided = evaluate_text(job);
  CHECK(strided.evaluations.at(0).convention == "strided");
  CHECK(strided.warnings.empty());
}

}  // namespace
}  // namespace karat
