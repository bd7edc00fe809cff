#include "load/tokenizer_bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "karat/error.h"
#include "load/tokenizer_text.h"

namespace karat {
namespace {

constexpr std::string_view kOperation = "read tokenizer vocabulary";
constexpr std::size_t kCachedWords = 1 << 18;
constexpr std::size_t kCachedLength = 64;  // bytes; longer words hardly ever come twice
constexpr std::uint64_t kEmpty = std::numeric_limits<std::uint64_t>::max();  // ids are not negative

std::uint64_t key_of(TokenId left, TokenId right) {
  return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

void Vocabulary::add(std::string_view token, std::int64_t id) {
  if (id < 0 || id >= kVocabularyLimit)
    fail(kOperation, fmt::format("id {} of token “{}”", id, token),
         fmt::format("an id of at least 0 and less than {}", kVocabularyLimit));
  const auto index = static_cast<std::size_t>(id);
  if (index >= by_id_.size()) by_id_.resize(index + 1, nullptr);
  if (by_id_[index] && *by_id_[index] != token)
    fail(kOperation, fmt::format("id {} for “{}” and for “{}”", id, *by_id_[index], token),
         "one token for each id");
  const auto [entry, is_new] = ids_.try_emplace(std::string(token), static_cast<TokenId>(id));
  if (!is_new && entry->second != id)
    fail(kOperation, fmt::format("ids {} and {} for “{}”", entry->second, id, token),
         "one id for each token");
  by_id_[index] = &entry->first;
}

std::optional<TokenId> Vocabulary::find(std::string_view token) const {
  const auto entry = ids_.find(token);
  return entry == ids_.end() ? std::nullopt : std::optional(entry->second);
}

const std::string* Vocabulary::token(TokenId id) const {
  return id >= 0 && id < size() ? by_id_[static_cast<std::size_t>(id)] : nullptr;
}

MergeTable::MergeTable(std::size_t count)
    : slots_(std::bit_ceil(std::max<std::size_t>(16, 2 * count)), Slot{kEmpty, {0, 0}}) {}

std::size_t MergeTable::slot_of(std::uint64_t key) const {
  std::uint64_t hash = key * 0x9e3779b97f4a7c15u;
  std::size_t slot = (hash ^ (hash >> 32)) & (slots_.size() - 1);
  while (slots_[slot].key != key && slots_[slot].key != kEmpty)
    slot = (slot + 1) & (slots_.size() - 1);
  return slot;
}

void MergeTable::set(TokenId left, TokenId right, Merge merge) {
  const std::uint64_t key = key_of(left, right);
  slots_[slot_of(key)] = {key, merge};
}

const MergeTable::Merge* MergeTable::find(TokenId left, TokenId right) const {
  const Slot& slot = slots_[slot_of(key_of(left, right))];
  return slot.key == kEmpty ? nullptr : &slot.merge;
}

Bpe::Bpe(Vocabulary vocabulary, const std::vector<Pair>& merges, BpeOptions options)
    : vocabulary_(std::move(vocabulary)), merges_(merges.size()), options_(options) {
  std::int32_t rank = 0;
  for (const auto& [left, right] : merges) {
    const std::string whole = std::string(left).append(right);
    const auto id_of = [&](std::string_view token) {
      if (const auto id = vocabulary_.find(token)) return *id;
      fail("read tokenizer merges", fmt::format("“{}” in merge {}", token, rank),
           "tokens of the vocabulary");
    };
    const TokenId left_id = id_of(left), right_id = id_of(right);
    merges_.set(left_id, right_id, {rank, id_of(whole)});
    ++rank;
  }
  if (options_.byte_fallback)
    for (int b = 0; b < 256; ++b)
      byte_ids_.push_back(vocabulary_.find(fmt::format("<0x{:02X}>", b)));
}

bool Bpe::append_bytes(std::string_view character, std::vector<TokenId>& ids) const {
  if (!options_.byte_fallback) return false;
  const auto id_of = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
  if (!std::all_of(character.begin(), character.end(), id_of)) return false;
  for (const char c : character) ids.push_back(*id_of(c));
  return true;
}

// A pending unknown token waits until the next known character, even past bytes: so Hugging Face.
std::vector<TokenId> Bpe::characters(std::string_view word) const {
  std::vector<TokenId> ids;
  ids.reserve(word.size());
  bool pending = false;
  while (!word.empty()) {
    const auto length = static_cast<std::size_t>(utf8_step(word).length);
    const std::string_view character = word.substr(0, length);
    word.remove_prefix(length);
    if (const auto id = vocabulary_.find(character)) {
      if (pending) ids.push_back(*options_.unknown);
      pending = false;
      ids.push_back(*id);
    } else if (!append_bytes(character, ids) && options_.unknown) {
      if (pending && !options_.fuse_unknown) ids.push_back(*options_.unknown);
      pending = true;
    }
  }
  if (pending) ids.push_back(*options_.unknown);
  return ids;
}

namespace {

// A list of symbols and a heap of the merges that are possible somewhere. A merge outdates the
// heap's entries for its neighbours; they are known by their pair, which is no longer there.
class Merging {
 public:
  Merging(const MergeTable& merges, std::vector<TokenId> ids)
      : merges_(merges),
        ids_(std::move(ids)),
        count_(static_cast<std::int32_t>(ids_.size())),
        next_(ids_.size()),
        previous_(ids_.size()) {
    for (std::int32_t i = 0; i < count_; ++i) {
      next_[i] = i + 1;
      previous_[i] = i - 1;
    }
    for (std::int32_t i = 0; i < count_; ++i)
      if (const auto found = candidate(i)) heap_.push_back(*found);
    std::make_heap(heap_.begin(), heap_.end());
  }

  void run(std::vector<TokenId>& out) {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end());
      const Candidate best = heap_.back();
      heap_.pop_back();
      if (is_current(best)) merge(best);
    }
    for (const TokenId id : ids_)
      if (id != kGone) out.push_back(id);
  }

 private:
  static constexpr TokenId kGone = -1;  // merged into the symbol on its left
  struct Candidate {
    std::int32_t rank, at;  // `at`: place of the left symbol
    TokenId left, right;
    bool operator<(const Candidate& other) const {  // std heaps have their greatest on top
      return std::pair(rank, at) > std::pair(other.rank, other.at);
    }
  };

  std::optional<Candidate> candidate(std::int32_t at) const {
    if (at < 0 || next_[at] >= count_) return std::nullopt;
    const auto* merge = merges_.find(ids_[at], ids_[next_[at]]);
    if (!merge) return std::nullopt;
    return Candidate{merge->rank, at, ids_[at], ids_[next_[at]]};
  }

  bool is_current(const Candidate& c) const {
    return ids_[c.at] == c.left && next_[c.at] < count_ && ids_[next_[c.at]] == c.right;
  }

  void merge(const Candidate& c) {
    const std::int32_t right = next_[c.at];
    ids_[c.at] = merges_.find(c.left, c.right)->id;
    ids_[right] = kGone;
    next_[c.at] = next_[right];
    if (next_[right] < count_) previous_[next_[right]] = c.at;
    for (const std::int32_t at : {previous_[c.at], c.at})
      if (const auto found = candidate(at)) {
        heap_.push_back(*found);
        std::push_heap(heap_.begin(), heap_.end());
      }
  }

  const MergeTable& merges_;
  std::vector<TokenId> ids_;
  std::int32_t count_;
  std::vector<std::int32_t> next_, previous_;
  std::vector<Candidate> heap_;
};

}  // namespace

void Bpe::encode(std::string_view word, std::vector<TokenId>& out) const {
  if (options_.ignore_merges)
    if (const auto id = vocabulary_.find(word)) return out.push_back(*id);
  if (word.size() > std::numeric_limits<std::int32_t>::max())
    fail("encode text", fmt::format("{} bytes without a place to split", word.size()),
         "less than 2 GiB");
  Merging(merges_, characters(word)).run(out);
}

void Bpe::encode_by_scanning(std::string_view word, std::vector<TokenId>& out) const {
  if (options_.ignore_merges)
    if (const auto id = vocabulary_.find(word)) return out.push_back(*id);
  std::vector<TokenId> ids = characters(word);
  for (;;) {
    const MergeTable::Merge* best = nullptr;
    std::size_t where = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto* merge = merges_.find(ids[i], ids[i + 1]);
      if (merge && (!best || merge->rank < best->rank)) {
        best = merge;
        where = i;
      }
    }
    if (!best) break;
    ids[where] = best->id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(where) + 1);
  }
  out.insert(out.end(), ids.begin(), ids.end());
}

void WordCache::encode(std::string_view word, std::vector<TokenId>& out) {
  if (word.size() > kCachedLength) return bpe_.encode(word, out);
  if (const auto known = words_.find(word); known != words_.end()) {
    const auto [begin, end] = known->second;
    out.insert(out.end(), ids_.begin() + static_cast<std::ptrdiff_t>(begin),
               ids_.begin() + static_cast<std::ptrdiff_t>(end));
    return;
  }
  const std::size_t begin = out.size();
  bpe_.encode(word, out);
  if (words_.size() >= kCachedWords) return;
  words_.emplace(word, std::pair(ids_.size(), ids_.size() + out.size() - begin));
  ids_.insert(ids_.end(), out.begin() + static_cast<std::ptrdiff_t>(begin), out.end());
}

}  // namespace karat
