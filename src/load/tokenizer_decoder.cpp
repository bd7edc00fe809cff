// The decoders of tokenizer.json: token texts to readable ones; the results are joined.
#include <fmt/format.h>

#include <charconv>

#include "load/characters.h"
#include "load/tokenizer_json.h"
#include "load/tokenizer_regex.h"
#include "load/tokenizer_text.h"

namespace karat {
namespace {

using Tokens = std::vector<std::string>;

void fuse(Tokens& tokens) {
  std::string all;
  for (const std::string& token : tokens) all += token;
  tokens = {std::move(all)};
}

// A token outside the byte alphabet (an added one) stands for its own UTF-8.
void byte_level(Tokens& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) bytes += from_byte_alphabet(token).value_or(token);
  tokens = {valid_utf8(bytes)};
}

std::optional<char> fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(value);
}

// A run of bytes that is not UTF-8 as a whole becomes one U+FFFD for each byte: so Hugging Face.
void byte_fallback(Tokens& tokens) {
  Tokens out;
  std::string run;
  const auto end_run = [&] {
    if (run.empty()) return;
    if (valid_utf8(run) == run)
      out.push_back(run);
    else
      out.insert(out.end(), run.size(), "\xEF\xBF\xBD");
    run.clear();
  };
  for (std::string& token : tokens) {
    if (const auto byte = fallback_byte(token)) {
      run += *byte;
    } else {
      end_run();
      out.push_back(std::move(token));
    }
  }
  end_run();
  tokens = std::move(out);
}

std::string stripped(std::string_view token, const std::string& what, std::int64_t start,
                     std::int64_t stop) {
  for (; start > 0 && token.starts_with(what); --start) token.remove_prefix(what.size());
  for (; stop > 0 && token.ends_with(what); --stop) token.remove_suffix(what.size());
  return std::string(token);
}

Decode strip(const std::string& what, std::int64_t start, std::int64_t stop) {
  return [what, start, stop](Tokens& tokens) {
    for (std::string& token : tokens) token = stripped(token, what, start, stop);
  };
}

Decode replace(const std::string& what, const std::string& with) {
  return [what, with](Tokens& tokens) {
    for (std::string& token : tokens) token = replaced(token, what, with);
  };
}

Decode read_strip(const JsonNode& node) {
  node.only({"type", "content", "start", "stop"});
  const std::string what = node.text("content");
  if (what.empty()) node.reject("an empty content", "one character");
  return strip(what, node.integer("start"), node.integer("stop"));
}

Decode replace_decoder(const JsonNode& node) {
  node.only({"type", "pattern", "content"});
  const JsonNode pattern = node.at("pattern");
  pattern.only({"String"});
  const std::string what = pattern.text("String");
  if (what.empty()) pattern.reject("an empty string", "something to replace");
  return replace(what, node.text("content"));
}

Decode decode_metaspace(const JsonNode& node) {
  node.only({"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"});
  const std::string mark = node.text("replacement");
  if (mark.empty()) node.reject("an empty replacement", "one character");
  const bool prepends = node.find("prepend_scheme") ? node.text("prepend_scheme") != "never"
                                                    : node.flag("add_prefix_space", true);
  return [mark, prepends](Tokens& tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = replaced(tokens[i], mark, i == 0 && prepends ? "" : " ");
  };
}

Decode in_sequence(std::vector<Decode> steps) {
  return [steps = std::move(steps)](Tokens& tokens) {
    for (const Decode& step : steps) step(tokens);
  };
}

Decode one_decoder(const JsonNode& node, int depth) {
  const std::string type = node.type();
  if (type == "ByteLevel") return byte_level;
  if (type == "ByteFallback") return byte_fallback;
  if (type == "Fuse") return fuse;
  if (type == "Strip") return read_strip(node);
  if (type == "Replace") return replace_decoder(node);
  if (type == "Metaspace") return decode_metaspace(node);
  if (type != "Sequence")
    node.reject("decoder " + type,
                "ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Sequence or Strip");
  node.only({"type", "decoders"});
  if (depth == kNesting)
    node.reject("deeply nested Sequences", fmt::format("at most {}", kNesting));
  std::vector<Decode> steps;
  for (const JsonNode& item : node.items("decoders")) steps.push_back(one_decoder(item, depth + 1));
  return in_sequence(std::move(steps));
}

void join_with_spaces(Tokens& tokens) {
  for (std::size_t i = 1; i < tokens.size(); ++i) tokens[i] = std::string(" ").append(tokens[i]);
}

}  // namespace

Decode read_decoder(const std::optional<JsonNode>& node) {
  return node ? one_decoder(*node, 0) : Decode(join_with_spaces);
}

Decode sentencepiece_decoder(bool strip_first_space) {
  return in_sequence({replace("▁", " "), byte_fallback, fuse, strip(" ", strip_first_space, 0)});
}

}  // namespace karat
