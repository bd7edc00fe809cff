#include "load/tokenizer_side.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "karat/error.h"
#include "load/json.h"
#include "load/tokenizer_json.h"

namespace karat {
namespace {

constexpr const char* kConfig = "tokenizer_config.json";
constexpr const char* kSpecialMap = "special_tokens_map.json";
constexpr const char* kAdded = "added_tokens.json";
constexpr std::array kRoles = {"bos_token", "eos_token", "unk_token", "sep_token",
                               "pad_token", "cls_token", "mask_token"};

bool has_role(const std::string& key) {
  return std::find(kRoles.begin(), kRoles.end(), key) != kRoles.end();
}

/// A token that stands for itself: a text, or an object with its flags.
AddedToken read_token(const JsonNode& node) {
  AddedToken token;
  token.special = true;
  if (node.json().is_string()) {
    token.content = node.json().get<std::string>();
    return token;
  }
  if (!node.json().is_object()) node.reject(node.shown(), "a token");
  token.content = node.text("content");
  token.single_word = node.flag("single_word", false);
  token.lstrip = node.flag("lstrip", false);
  token.rstrip = node.flag("rstrip", false);
  token.normalized = node.flag("normalized", node.find("__type").has_value());
  return token;
}

/// Of a list, or of an object of name: token, as extra_special_tokens may be either.
struct ExtraTokens {
  bool is_object = false;
  std::vector<std::pair<std::string, AddedToken>> tokens = {};  // of a list without names
};

/// One of the files. Tokens get their ids in the order of its keys, which `root` has lost.
struct SideFile {
  JsonNode root;
  nlohmann::ordered_json ordered;
};

/// What stands under `key`; nothing: the file does not mention it. null is an empty list.
std::optional<ExtraTokens> read_extra(const SideFile& file, const char* key) {
  const JsonNode& root = file.root;
  const auto found = root.json().find(key);
  if (found == root.json().end()) return std::nullopt;
  ExtraTokens extra{.is_object = found->is_object()};
  if (extra.is_object)
    for (const auto& [name, value] : file.ordered.at(key).items())
      extra.tokens.emplace_back(name, read_token(root.at(key).at(name)));
  else if (!found->is_null())
    for (const JsonNode& token : root.items(key)) extra.tokens.emplace_back("", read_token(token));
  return extra;
}

/// Collects what has a role, of tokenizer_config.json and then of special_tokens_map.json.
class RoleReader {
 public:
  explicit RoleReader(const std::map<std::string, std::string>& defaults) {
    for (const auto& [role, content] : defaults) {
      AddedToken token;
      token.content = content;
      token.special = true;
      roles_[role] = std::move(token);
    }
  }

  void read_config(const SideFile& file) {
    read_roles(file.root);
    for (const auto& [key, value] : file.ordered.items())
      if (!has_role(key) && key.ends_with("_token") && value.is_string())
        named_.emplace_back(key, read_token(file.root.at(key)));
    extra_ = read_extra(file, kExtra);
    old_ = read_extra(file, kOldExtra);
    // The old name counts where the new one says nothing.
    if (old_ && (!extra_ || extra_->tokens.empty())) extra_ = std::exchange(old_, std::nullopt);
    move_object(extra_, named_);
  }

  void read_map(const SideFile& file) {
    read_roles(file.root);
    for (const auto& [key, value] : file.ordered.items())
      if (!has_role(key) && key.ends_with("_token") && !value.is_null())
        mapped_.emplace_back(key, read_token(file.root.at(key)));
    if (auto more = read_extra(file, kExtra)) {
      if (extra_ && !more->is_object && !file.ordered.at(kExtra).is_null())
        more->tokens.insert(more->tokens.begin(), extra_->tokens.begin(), extra_->tokens.end());
      extra_ = std::move(more);
    }
    if (auto old = read_extra(file, kOldExtra)) old_ = std::move(old);
    move_object(extra_, named_);
  }

  void hand_over(SideTokens& side) const {
    for (const char* role : kRoles) {
      const auto found = roles_.find(role);
      if (found == roles_.end()) continue;
      side.roles[role] = found->second ? found->second->content : "";
      if (found->second) side.special.push_back(*found->second);
    }
    auto named = mapped_;
    named.insert(named.end(), named_.begin(), named_.end());
    std::optional<ExtraTokens> extra = extra_ ? extra_ : old_;
    move_object(extra, named);
    add_by_name(named, side.special);
    for (const AddedToken& token : side.special) side.named.insert(token.content);
    if (extra)
      for (const auto& [name, token] : extra->tokens) side.special.push_back(token);
  }

  /// Whether a token that only added_tokens.json declares is special.
  bool is_special(const std::string& content) const {
    const auto same = [&](const auto& one) { return one.second.content == content; };
    return (extra_ && std::ranges::any_of(extra_->tokens, same)) ||
           std::ranges::any_of(roles_, [&](const auto& role) {
             return role.second && role.second->content == content;
           });
  }

 private:
  using Named = std::vector<std::pair<std::string, AddedToken>>;
  static constexpr const char* kExtra = "extra_special_tokens";
  static constexpr const char* kOldExtra = "additional_special_tokens";

  void read_roles(const JsonNode& root) {
    for (const auto& [key, value] : root.json().items())
      if (has_role(key))
        roles_[key] = value.is_null() ? std::nullopt : std::optional(read_token(root.at(key)));
  }

  /// Tokens of an object have roles, and the key is then as if it were not there.
  static void move_object(std::optional<ExtraTokens>& extra, Named& named) {
    if (!extra || !extra->is_object) return;
    named.insert(named.end(), extra->tokens.begin(), extra->tokens.end());
    extra.reset();
  }

  /// Of a role that is given twice the last token counts, in the place of the first.
  static void add_by_name(const Named& named, std::vector<AddedToken>& tokens) {
    std::map<std::string, std::size_t> places;
    for (const auto& [name, token] : named) {
      const auto [place, is_new] = places.emplace(name, tokens.size());
      if (is_new)
        tokens.push_back(token);
      else
        tokens[place->second] = token;
    }
  }

  std::map<std::string, std::optional<AddedToken>> roles_;  // nothing: said to be none
  Named named_, mapped_;  // of other roles; those of special_tokens_map.json come first
  std::optional<ExtraTokens> extra_, old_;
};

void read_added(const std::string& text, const RoleReader& roles, SideTokens& side) {
  const nlohmann::json json = parse_json(text, kAdded);
  const JsonNode root(json, kAdded, "");
  if (!json.is_object()) root.reject(root.shown(), "an object of token: id");
  for (const auto& [content, value] : json.items()) {
    const std::int64_t id = root.integer(content);
    if (id < 0 || id >= kVocabularyLimit)
      root.reject(fmt::format("id {} of “{}”", id, content),
                  fmt::format("0 ≤ id < {}", kVocabularyLimit));
    const bool special = roles.is_special(content);
    side.declared.push_back({.id = static_cast<TokenId>(id),
                             .content = content,
                             .normalized = !special,
                             .special = special});
  }
}

void read_switches(const JsonNode& root, SideTokens& side) {
  const auto flag = [&](const char* key) {
    return root.find(key) ? std::optional(root.flag(key)) : std::nullopt;
  };
  side.add_bos = flag("add_bos_token");
  side.add_eos = flag("add_eos_token");
  side.legacy = flag("legacy");
  side.add_prefix_space = flag("add_prefix_space");
  if (flag("split_special_tokens").value_or(false))
    root.reject("split_special_tokens: true", "false: special tokens in a text are tokens");
  if (root.find("tokenizer_class")) side.tokenizer_class = root.text("tokenizer_class");
}

}  // namespace

std::optional<std::string> SideTokens::role(const std::string& role,
                                            const std::string& fallback) const {
  const auto found = roles.find(role);
  const std::string& token = found == roles.end() ? fallback : found->second;
  return token.empty() ? std::nullopt : std::optional(token);
}

SideTokens read_side_tokens(const SideFiles& files,
                            const std::map<std::string, std::string>& defaults) {
  SideTokens side;
  RoleReader roles(defaults);
  if (!files.config.empty()) {
    const nlohmann::json json = parse_json(files.config, kConfig);
    const JsonNode root(json, kConfig, "");
    if (!json.is_object()) root.reject(root.shown(), "an object");
    read_switches(root, side);
    roles.read_config({root, nlohmann::ordered_json::parse(files.config)});
    if (const auto tokens = root.find("added_tokens_decoder")) {
      side.listed = true;
      side.declared = read_added_tokens_by_id(*tokens);
      side.declared_in = kConfig;
    }
  }
  if (!side.listed && !files.special_map.empty()) {
    const nlohmann::json json = parse_json(files.special_map, kSpecialMap);
    const JsonNode root(json, kSpecialMap, "");
    if (!json.is_object()) root.reject(root.shown(), "an object");
    roles.read_map({root, nlohmann::ordered_json::parse(files.special_map)});
  }
  roles.hand_over(side);
  if (!side.listed && !files.added.empty()) {
    side.declared_in = kAdded;
    read_added(files.added, roles, side);
  }
  std::sort(side.declared.begin(), side.declared.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  return side;
}

namespace {

/// Added tokens as they come to be: each has the id of its text, or else the next one.
class Adding {
 public:
  Adding(std::vector<AddedToken> own, const ModelTokens& model)
      : tokens_(std::move(own)), model_(model), next_(model.count) {
    for (std::size_t i = 0; i < tokens_.size(); ++i) enter(i);
  }

  bool has(const std::string& content) const { return places_.contains(content); }

  /// Its id. One that is there already takes on the flags; once special, it stays so.
  TokenId add(AddedToken token) {
    const auto place = places_.find(token.content);
    if (place != places_.end()) {
      AddedToken& known = tokens_[place->second];
      token.id = known.id;
      token.special = token.special || known.special;
      known = token;
      return token.id;
    }
    const auto in_model = model_.find(token.content);
    token.id = in_model ? *in_model : static_cast<TokenId>(next_);
    tokens_.push_back(std::move(token));
    enter(tokens_.size() - 1);
    return tokens_.back().id;
  }

  std::vector<AddedToken> take() { return std::move(tokens_); }

 private:
  void enter(std::size_t place) {
    places_.emplace(tokens_[place].content, place);
    next_ = std::max<std::int64_t>(next_, tokens_[place].id + 1);
  }

  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, std::size_t> places_;
  const ModelTokens& model_;
  std::int64_t next_;  // the first id after all that are there
};

/// Tokens that take part in adding, by id: those of the tokenizer itself count where no list of
/// tokenizer_config.json stands in their place.
std::vector<AddedToken> in_order(const std::vector<AddedToken>& own, const SideTokens& side) {
  if (side.listed) return side.declared;
  std::map<TokenId, AddedToken> by_id;
  for (const AddedToken& token : side.declared) by_id.insert_or_assign(token.id, token);
  for (const AddedToken& token : own) by_id.insert_or_assign(token.id, token);
  std::vector<AddedToken> all;
  for (auto& [id, token] : by_id) all.push_back(std::move(token));
  return all;
}

}  // namespace

std::vector<AddedToken> with_side_tokens(std::vector<AddedToken> own, const SideTokens& side,
                                         const ModelTokens& model) {
  const std::vector<AddedToken> declared = in_order(own, side);
  Adding adding(std::move(own), model);
  for (AddedToken token : declared) {
    if (token.content.empty()) continue;
    if (side.named.contains(token.content)) token.special = true;
    const TokenId id = adding.add(token);
    if (id != token.id)
      fail("read " + side.declared_in, fmt::format("id {} for “{}”", token.id, token.content),
           fmt::format("{}, the id of that token", id),
           "a new token has the first id after those that are there");
  }
  for (const AddedToken& token : side.special)
    if (!token.content.empty() && !adding.has(token.content)) adding.add(token);
  return adding.take();
}

}  // namespace karat
