// Added tokens: exact strings that are cut out of a text before the model sees the rest.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "karat/tokenizer.h"

namespace karat {

struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool single_word = false;  // matched only where no word character touches it
  bool lstrip = false;       // swallows the white space in front
  bool rstrip = false;       // swallows the white space behind
  bool normalized = false;   // matched in the normalized text
  bool special = false;      // left out by decode(skip_special)
};

/// Finds tokens in a text: leftmost first, the longest of those that start there.
class AddedTokenMatcher {
 public:
  /// `patterns[i]` is the text that stands for `tokens[i]`; empty patterns never match.
  AddedTokenMatcher(std::vector<AddedToken> tokens, const std::vector<std::string>& patterns);
  ~AddedTokenMatcher();
  AddedTokenMatcher(AddedTokenMatcher&&) noexcept;

  /// Calls visit(part, token) for the parts of `text` in order; token is null between matches.
  using Visit = std::function<void(std::string_view part, const AddedToken* token)>;
  void split(std::string_view text, const Visit& visit) const;

 private:
  struct Trie;
  std::vector<AddedToken> tokens_;
  std::unique_ptr<Trie> trie_;
};

}  // namespace karat
