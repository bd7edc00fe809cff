// Tokenizers against what Hugging Face's give, dumped by tools/dump_tokenizers.py.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/file.h"
#include "karat/tokenizer.h"

namespace karat::testing {

inline const std::filesystem::path kTokenizerFixtures =
    KARAT_SOURCE_DIR "/tests/fixtures/tokenizers";

inline std::vector<std::string> texts() {
  return nlohmann::json::parse(read_text(kTokenizerFixtures / "texts.json"))
      .get<std::vector<std::string>>();
}

/// What one way of reading a text must give.
inline void check_against(const Tokenizer& tokenizer, const std::filesystem::path& expected_file) {
  const nlohmann::json expected = nlohmann::json::parse(read_text(expected_file));
  const auto before = expected["before"].get<std::vector<TokenId>>();
  const auto after = expected["after"].get<std::vector<TokenId>>();
  CHECK(tokenizer.bos() == (before.empty() ? std::nullopt : std::optional(before.front())));
  CHECK(tokenizer.vocab_size() == expected["size"].get<std::int64_t>());
  const auto inputs = texts();
  REQUIRE(inputs.size() == expected["cases"].size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const nlohmann::json& c = expected["cases"][i];
    CAPTURE(expected_file.string());
    CAPTURE(inputs[i]);
    const auto ids = c["ids"].get<std::vector<TokenId>>();
    CHECK(tokenizer.encode(inputs[i], false) == ids);
    std::vector<TokenId> framed = before;
    framed.insert(framed.end(), ids.begin(), ids.end());
    framed.insert(framed.end(), after.begin(), after.end());
    CHECK(tokenizer.encode(inputs[i]) == framed);
    CHECK(tokenizer.decode(framed) == c["text"].get<std::string>());
    CHECK(tokenizer.decode(framed, false) == c["special"].get<std::string>());
  }
}

}  // namespace karat::testing
