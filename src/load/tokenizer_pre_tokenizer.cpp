// The pre-tokenizers of tokenizer.json: they cut normalized text into the words that byte pair
// encoding never merges across. Each hands its pieces on as it finds them; nothing is collected.
#include <fmt/format.h>

#include "load/characters.h"
#include "load/tokenizer_json.h"
#include "load/tokenizer_regex.h"
#include "load/tokenizer_text.h"

namespace karat {
namespace {

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// What becomes of the matches of a Split.
enum class Delimiter { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// Finds the next match at or after `from`.
using Find = std::function<std::optional<Span>(std::string_view text, std::size_t from)>;

struct Part {
  Span span;
  bool is_match;
};

// Covers the whole text: matches, and what lies between them.
template <class Visit>
void for_each_part(std::string_view text, const Find& find, bool invert, const Visit& visit) {
  std::size_t done = 0;
  while (done < text.size()) {
    const auto match = find(text, done);
    const std::size_t begin = match ? match->begin : text.size();
    if (done < begin) visit(Part{{done, begin}, invert});
    if (match) visit(Part{*match, !invert});
    done = match ? match->end : text.size();
  }
}

// Whether a part joins the one before it, by the two parts' kinds.
bool joins(Delimiter behavior, bool previous_is_match, bool is_match) {
  if (behavior == Delimiter::contiguous) return previous_is_match == is_match;
  if (behavior == Delimiter::merged_with_previous) return is_match && !previous_is_match;
  return behavior == Delimiter::merged_with_next && previous_is_match && !is_match;
}

void split(Piece piece, const Find& find, Delimiter behavior, bool invert, const Emit& emit) {
  const auto hand_on = [&](Span span) {
    if (span.begin < span.end)
      emit({piece.text.substr(span.begin, span.end - span.begin),
            piece.at_start && span.begin == 0});
  };
  Part open{{0, 0}, false};
  for_each_part(piece.text, find, invert, [&](const Part& part) {
    const bool first = part.span.begin == 0;
    if (!first && joins(behavior, open.is_match, part.is_match)) {
      open = {{open.span.begin, part.span.end}, part.is_match};
      return;
    }
    if (!(behavior == Delimiter::removed && open.is_match)) hand_on(open.span);
    open = part;
  });
  if (!(behavior == Delimiter::removed && open.is_match)) hand_on(open.span);
}

Find find_regex(std::string_view pattern) {
  return [regex = Regex(pattern)](std::string_view text, std::size_t from) {
    return regex.find(text, from);
  };
}

Find find_text(const std::string& what) {
  return [what](std::string_view text, std::size_t from) -> std::optional<Span> {
    const std::size_t at = text.find(what, from);
    if (at == text.npos) return std::nullopt;
    return Span{at, at + what.size()};
  };
}

PreTokenize read_split(const JsonNode& node) {
  node.only({"type", "pattern", "behavior", "invert"});
  const JsonNode pattern = node.at("pattern");
  const bool is_regex = pattern.find("Regex").has_value();
  if (!is_regex && pattern.text("String").empty()) pattern.reject("an empty string", "a delimiter");
  Find find = is_regex ? find_regex(pattern.text("Regex")) : find_text(pattern.text("String"));
  const std::map<std::string, Delimiter> behaviors{
      {"Removed", Delimiter::removed},
      {"Isolated", Delimiter::isolated},
      {"MergedWithPrevious", Delimiter::merged_with_previous},
      {"MergedWithNext", Delimiter::merged_with_next},
      {"Contiguous", Delimiter::contiguous}};
  const auto behavior = behaviors.find(node.text("behavior"));
  if (behavior == behaviors.end())
    node.at("behavior")
        .reject(node.text("behavior"),
                "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
  return [find, delimiter = behavior->second, invert = node.flag("invert", false)](
             Piece piece, const Emit& emit) { split(piece, find, delimiter, invert, emit); };
}

PreTokenize read_digits(const JsonNode& node) {
  node.only({"type", "individual_digits"});
  const auto behavior =
      node.flag("individual_digits", false) ? Delimiter::isolated : Delimiter::contiguous;
  return [find = find_regex(R"(\p{N})"), behavior](Piece piece, const Emit& emit) {
    split(piece, find, behavior, false, emit);
  };
}

PreTokenize read_byte_level(const JsonNode& node) {
  node.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  const bool prefix = node.flag("add_prefix_space"), use_regex = node.flag("use_regex", true);
  const Find find = use_regex ? find_regex(kGpt2Pattern) : Find();
  return [prefix, find](Piece piece, const Emit& emit) {
    std::string spaced;
    if (prefix && !piece.text.starts_with(' ')) spaced = std::string(" ").append(piece.text);
    if (!spaced.empty()) piece.text = spaced;
    const Emit map_bytes = [&emit](Piece part) {
      emit({to_byte_alphabet(part.text), part.at_start});
    };
    if (find)
      split(piece, find, Delimiter::isolated, false, map_bytes);
    else
      map_bytes(piece);
  };
}

enum class Prepend { never, first, always };

Prepend read_prepend_scheme(const JsonNode& node) {
  if (!node.find("prepend_scheme"))  // before tokenizers 0.15
    return node.flag("add_prefix_space", true) ? Prepend::always : Prepend::never;
  const std::string scheme = node.text("prepend_scheme");
  if (scheme == "always") return Prepend::always;
  if (scheme == "first") return Prepend::first;
  if (scheme == "never") return Prepend::never;
  node.reject("prepend_scheme " + scheme, "always, first or never");
}

PreTokenize read_metaspace(const JsonNode& node) {
  node.only({"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"});
  const std::string mark = node.text("replacement");
  if (mark.empty()) node.reject("an empty replacement", "one character");
  return [mark, prepend = read_prepend_scheme(node), cut = node.flag("split", true),
          find = find_text(mark)](Piece piece, const Emit& emit) {
    std::string text = replaced(piece.text, " ", mark);
    const bool wanted = prepend == Prepend::always || (prepend == Prepend::first && piece.at_start);
    if (wanted && !text.starts_with(mark)) text.insert(0, mark);
    piece.text = text;
    if (cut)
      split(piece, find, Delimiter::merged_with_next, false, emit);
    else
      emit(piece);
  };
}

struct Chain {
  const std::vector<PreTokenize>& steps;
  const Emit& emit;
  void run(std::size_t step, Piece piece) const {
    if (step == steps.size()) return emit(piece);
    steps[step](piece, [this, step](Piece part) { run(step + 1, part); });
  }
};

PreTokenize one_pre_tokenizer(const JsonNode& node, int depth) {
  const std::string type = node.type();
  if (type == "ByteLevel") return read_byte_level(node);
  if (type == "Split") return read_split(node);
  if (type == "Digits") return read_digits(node);
  if (type == "Metaspace") return read_metaspace(node);
  if (type != "Sequence")
    node.reject("pre-tokenizer " + type, "ByteLevel, Digits, Metaspace, Sequence or Split");
  node.only({"type", "pretokenizers"});
  if (depth == kNesting)
    node.reject("deeply nested Sequences", fmt::format("at most {}", kNesting));
  std::vector<PreTokenize> steps;
  for (const JsonNode& item : node.items("pretokenizers"))
    steps.push_back(one_pre_tokenizer(item, depth + 1));
  return [steps](Piece piece, const Emit& emit) { Chain{steps, emit}.run(0, piece); };
}

}  // namespace

PreTokenize read_pre_tokenizer(const std::optional<JsonNode>& node) {
  if (!node) return [](Piece piece, const Emit& emit) { emit(piece); };
  return one_pre_tokenizer(*node, 0);
}

}  // namespace karat
