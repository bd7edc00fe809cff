#include "load/tokenizer_added.h"

#include <map>

#include "load/tokenizer_text.h"

namespace karat {

struct AddedTokenMatcher::Trie {
  struct Node {
    std::map<char, std::size_t> next;
    std::size_t token = kNone;
  };
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::vector<Node> nodes = std::vector<Node>(1);
  std::vector<bool> starts = std::vector<bool>(256);  // bytes that begin a pattern

  void add(std::string_view pattern, std::size_t token) {
    if (pattern.empty()) return;
    starts[static_cast<unsigned char>(pattern[0])] = true;
    std::size_t at = 0;
    for (const char c : pattern) {
      const auto [edge, is_new] = nodes[at].next.try_emplace(c, nodes.size());
      at = edge->second;
      if (is_new) nodes.emplace_back();
    }
    if (nodes[at].token == kNone) nodes[at].token = token;  // of equal patterns the first
  }

  struct Match {
    std::size_t token = kNone, length = 0;
  };
  Match longest(std::string_view text) const {
    Match best;
    std::size_t at = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto edge = nodes[at].next.find(text[i]);
      if (edge == nodes[at].next.end()) break;
      at = edge->second;
      if (nodes[at].token != kNone) best = {nodes[at].token, i + 1};
    }
    return best;
  }
};

namespace {

bool stands_alone(std::string_view before, std::string_view after) {
  return (before.empty() || !is_word(last_character(before))) &&
         (after.empty() || !is_word(first_character(after)));
}

std::size_t without_trailing_space(std::string_view text) {
  while (!text.empty() && is_space(last_character(text)))
    text = text.substr(0, last_character_begin(text));
  return text.size();
}

std::size_t leading_space(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && is_space(first_character(text.substr(at))))
    at += static_cast<std::size_t>(utf8_step(text.substr(at)).length);
  return at;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens,
                                     const std::vector<std::string>& patterns)
    : tokens_(std::move(tokens)), trie_(std::make_unique<Trie>()) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) trie_->add(patterns[i], i);
}
AddedTokenMatcher::~AddedTokenMatcher() = default;
AddedTokenMatcher::AddedTokenMatcher(AddedTokenMatcher&&) noexcept = default;

void AddedTokenMatcher::split(std::string_view text, const Visit& visit) const {
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    if (!trie_->starts[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    const auto match = trie_->longest(text.substr(at));
    if (match.length == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[match.token];
    std::size_t begin = at, end = at + match.length;
    at = end;
    if (token.single_word && !stands_alone(text.substr(0, begin), text.substr(end))) continue;
    if (token.lstrip) begin = std::max(without_trailing_space(text.substr(0, begin)), done);
    if (token.rstrip) end += leading_space(text.substr(end));
    if (done < begin) visit(text.substr(done, begin - done), nullptr);
    visit(text.substr(begin, end - begin), &token);
    done = end;
    at = std::max(at, end);
  }
  if (done < text.size()) visit(text.substr(done), nullptr);
}

}  // namespace karat
