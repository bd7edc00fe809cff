// Byte pair encoding (Sennrich et al. 2016; Gage 1994) over a vocabulary and ranked merges.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "karat/tokenizer.h"

namespace karat {

/// Ids below this are accepted: the largest vocabularies in use have 2^18 tokens, and a lying file
/// must not make a small machine run out of memory.
constexpr std::int64_t kVocabularyLimit = 1 << 22;

/// Tokens and their ids, one to one.
class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;  // the nodes of ids_ move with it; a copy's would not
  Vocabulary& operator=(Vocabulary&&) = default;
  /// Throws Error when an id is out of range or belongs to two tokens, or a token has two ids.
  void add(std::string_view token, std::int64_t id);
  std::optional<TokenId> find(std::string_view token) const;
  const std::string* token(TokenId id) const;  // null: no such id
  std::int64_t size() const { return static_cast<std::int64_t>(by_id_.size()); }  // highest id + 1
  std::int64_t count() const { return static_cast<std::int64_t>(ids_.size()); }   // of tokens

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, TokenId, Hash, std::equal_to<>> ids_;
  std::vector<const std::string*> by_id_;  // keys of ids_, whose addresses are stable
};

struct BpeOptions {
  std::optional<TokenId> unknown;
  bool fuse_unknown = false;   // neighbouring unknown characters become one token
  bool byte_fallback = false;  // a character that is no token becomes its bytes <0xNN>
  bool ignore_merges = false;  // a word that is a token is not taken apart
};

/// The merges by pair of ids; a flat table, because it is asked once per pair of every new word.
class MergeTable {
 public:
  struct Merge {
    std::int32_t rank;  // lower merges first
    TokenId id;         // of the merged token
  };
  explicit MergeTable(std::size_t count);
  void set(TokenId left, TokenId right, Merge merge);  // at most `count` times
  const Merge* find(TokenId left, TokenId right) const;

 private:
  struct Slot {
    std::uint64_t key;  // left in the high half, right in the low one; kEmpty: free
    Merge merge;
  };
  std::size_t slot_of(std::uint64_t key) const;
  std::vector<Slot> slots_;  // a power of two, at most half full
};

class Bpe {
 public:
  using Pair = std::pair<std::string_view, std::string_view>;
  /// `merges` in order of rank. Throws Error when one names a token outside the vocabulary.
  Bpe(Vocabulary vocabulary, const std::vector<Pair>& merges, BpeOptions options);

  const Vocabulary& vocabulary() const { return vocabulary_; }
  /// Appends the ids of one word. Time n·log n in its length.
  void encode(std::string_view word, std::vector<TokenId>& out) const;
  /// The same by its definition: scan for the lowest rank, merge the leftmost, repeat. Time n².
  void encode_by_scanning(std::string_view word, std::vector<TokenId>& out) const;

 private:
  std::vector<TokenId> characters(std::string_view word) const;  // ids before any merge
  bool append_bytes(std::string_view character, std::vector<TokenId>& ids) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  BpeOptions options_;
  std::vector<std::optional<TokenId>> byte_ids_;  // of <0x00> … <0xFF>, for byte_fallback
};

/// The words that Bpe::encode was asked for already. Text repeats itself: nearly every word of a
/// long one is found here. Not shared between threads; one per encoded text.
class WordCache {
 public:
  explicit WordCache(const Bpe& bpe) : bpe_(bpe) {}
  void encode(std::string_view word, std::vector<TokenId>& out);

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  const Bpe& bpe_;
  std::unordered_map<std::string, std::pair<std::size_t, std::size_t>, Hash, std::equal_to<>>
      words_;
  std::vector<TokenId> ids_;  // of all words; a word has [first, second)
};

}  // namespace karat
