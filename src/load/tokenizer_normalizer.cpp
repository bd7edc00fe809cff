// The normalizers of tokenizer.json: text to text, before anything is split.
#include <fmt/format.h>

#include "load/characters.h"
#include "load/tokenizer_json.h"
#include "load/tokenizer_regex.h"
#include "load/tokenizer_text.h"

namespace karat {
namespace {

std::string replace_matches(const Regex& regex, const std::string& text, const std::string& with) {
  std::string out;
  std::size_t done = 0;
  while (const auto match = regex.find(text, done)) {
    out.append(text, done, match->begin - done).append(with);
    done = match->end;
  }
  return out.append(text, done);
}

Normalize replace_normalizer(const JsonNode& node) {
  node.only({"type", "pattern", "content"});
  const JsonNode pattern = node.at("pattern");
  std::string content = node.text("content");
  if (pattern.find("Regex"))
    return [regex = Regex(pattern.text("Regex")), content](std::string text) {
      return replace_matches(regex, text, content);
    };
  std::string what = pattern.text("String");
  if (what.empty()) pattern.reject("an empty string", "something to replace");
  return [what, content](std::string text) { return replaced(text, what, content); };
}

Normalize read_prepend(const JsonNode& node) {
  node.only({"type", "prepend"});
  return [prefix = node.text("prepend")](std::string text) {
    return text.empty() ? text : prefix + text;
  };
}

Normalize one_normalizer(const JsonNode& node, int depth);

Normalize read_sequence(const JsonNode& node, int depth) {
  node.only({"type", "normalizers"});
  if (depth == kNesting)
    node.reject("deeply nested Sequences", fmt::format("at most {}", kNesting));
  std::vector<Normalize> steps;
  for (const JsonNode& item : node.items("normalizers"))
    steps.push_back(one_normalizer(item, depth + 1));
  return [steps](std::string text) {
    for (const Normalize& step : steps) text = step(std::move(text));
    return text;
  };
}

Normalize one_normalizer(const JsonNode& node, int depth) {
  const auto form = [](NormalForm f) {
    return [f](std::string text) { return normalize(text, f); };
  };
  const std::string type = node.type();
  if (type == "Sequence") return read_sequence(node, depth);
  if (type == "Replace") return replace_normalizer(node);
  if (type == "Prepend") return read_prepend(node);
  if (type == "NFC") return form(NormalForm::nfc);
  if (type == "NFD") return form(NormalForm::nfd);
  if (type == "NFKC") return form(NormalForm::nfkc);
  if (type == "NFKD") return form(NormalForm::nfkd);
  node.reject("normalizer " + type, "NFC, NFD, NFKC, NFKD, Prepend, Replace or Sequence");
}

}  // namespace

Normalize read_normalizer(const std::optional<JsonNode>& node) {
  if (!node) return [](std::string text) { return text; };
  return one_normalizer(*node, 0);
}

}  // namespace karat
