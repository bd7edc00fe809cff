// The files beside a tokenizer that change its tokens: tokenizer_config.json,
// special_tokens_map.json and added_tokens.json, as transformers 5 reads them.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "load/tokenizer_added.h"

namespace karat {

/// Contents of these files; empty: there is none of that name.
struct SideFiles {
  std::string config = {};       // tokenizer_config.json
  std::string special_map = {};  // special_tokens_map.json
  std::string added = {};        // added_tokens.json
};

/// What they say.
struct SideTokens {
  /// Whether tokenizer_config.json lists the added tokens: then the two other files say nothing.
  bool listed = false;
  std::vector<AddedToken> declared = {};          // by id
  std::string declared_in = {};                   // the file, for errors
  std::map<std::string, std::string> roles = {};  // "bos_token" -> "<s>", of those that are set
  /// Tokens that must be there, in order, without ids: those of a role (all `…_token`), then
  /// others.
  std::vector<AddedToken> special = {};
  std::set<std::string> named =
      {};  // those of a role, which are special wherever they are declared
  std::string tokenizer_class = {};
  std::optional<bool> add_bos = {}, add_eos = {}, legacy = {}, add_prefix_space = {};

  /// The token of `role`; `fallback` where the files say nothing of it (null says: none).
  std::optional<std::string> role(const std::string& role, const std::string& fallback) const;
};
/// `defaults`: tokens of roles of which the files say nothing.
SideTokens read_side_tokens(const SideFiles& files,
                            const std::map<std::string, std::string>& defaults = {});

/// The ids of a model's tokens, as adding to them needs them.
struct ModelTokens {
  std::function<std::optional<TokenId>(const std::string& content)> find;
  std::int64_t count = 0;
};

/// The added tokens of a tokenizer: its `own` ones, and what `side` adds to them or changes of
/// them. A new token has the next id after all others. Throws Error on a declared id that is
/// another.
std::vector<AddedToken> with_side_tokens(std::vector<AddedToken> own, const SideTokens& side,
                                         const ModelTokens& model);

}  // namespace karat
