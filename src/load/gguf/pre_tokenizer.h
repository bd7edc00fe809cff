// How texts are split into words before byte-level BPE, by the names that GGUF files give to it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace karat {

struct GgufPreTokenizer {
  std::string_view name;          // tokenizer.ggml.pre
  std::string_view pattern = {};  // of words; empty: GPT-2's
  bool digits = false;            // each digit stands alone
  bool nfc = false;               // normalized to Unicode NFC before
  bool whole_words = false;       // a word that is a token is not merged from its parts
  bool bos = false;               // where the file does not say whether texts begin with BOS

  nlohmann::json normalizer() const;  // as tokenizer.json has them
  /// `spaced`: a text begins with a space that it does not have.
  nlohmann::json pre_tokenizer(bool spaced) const;
};

/// nullptr: there is none of that name.
const GgufPreTokenizer* find_gguf_pre_tokenizer(std::string_view name);
std::vector<std::string_view> gguf_pre_tokenizers();

}  // namespace karat
