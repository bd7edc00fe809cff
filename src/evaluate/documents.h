// What the conventions share: the documents of a text, their words, and what stands before them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "karat/evaluate.h"

namespace karat {

/// What <|endoftext|> separates, as it is; pieces of nothing but blanks are left out.
std::vector<std::string_view> split_documents(std::string_view text);
/// The documents that `text` lists, blank ones left out; else those that <|endoftext|> separates.
std::vector<std::string_view> documents_of(const NamedText& text);

/// As len(re.split(r"\s+", text)) in Python: one more than there are runs of white space.
std::int64_t count_words(std::string_view text);

/// What lm-evaluation-harness puts before a document: the BOS token that encode() adds or
/// tokenizer_config.json or config.json of `folder` names, else the EOS token. Throws Error
/// without any.
TokenId prefix_token(const Tokenizer& tokenizer, const std::filesystem::path& folder);

/// "before every window", "the tokenizer adds none"
std::string describe_bos(const Convention& convention, const Tokenizer& tokenizer);

/// Tokens from one strided window to the next. Throws Error unless 1 ≤ stride < length.
std::int64_t stride_of(const Convention& convention, std::int64_t length);

}  // namespace karat
