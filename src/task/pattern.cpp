#include "task/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "karat/error.h"

namespace karat {
namespace {

constexpr std::uint32_t kMatchLimit = 10'000'000;  // steps: a pattern that explodes is an Error

const pcre2_code* code(const std::shared_ptr<const void>& pointer) {
  return static_cast<const pcre2_code*>(pointer.get());
}

}  // namespace

Pattern::Pattern(std::string_view pattern, const std::string& where) {
  int error = 0;
  PCRE2_SIZE place = 0;
  pcre2_code* compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &error, &place, nullptr);
  if (!compiled)
    fail(where, "the pattern " + std::string(pattern), "a regular expression",
         "it goes wrong at character " + std::to_string(place));
  code_ = std::shared_ptr<const void>(compiled, [](const void* pointer) {
    pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(pointer)));
  });
}

std::vector<Pattern::Match> Pattern::matches(std::string_view text) const {
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(
      pcre2_match_data_create_from_pattern(code(code_), nullptr), pcre2_match_data_free);
  const std::unique_ptr<pcre2_match_context, void (*)(pcre2_match_context*)> context(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), kMatchLimit);
  std::vector<Match> found;
  for (std::size_t at = 0; at <= text.size();) {
    const int groups = pcre2_match(code(code_), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                   text.size(), at, 0, data.get(), context.get());
    if (groups == PCRE2_ERROR_NOMATCH) break;
    if (groups < 0) fail("match a pattern", "more steps than allowed", "a simpler pattern");
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    Match match{ends[0], ends[1], {}};
    std::uint32_t count = 0;
    pcre2_pattern_info(code(code_), PCRE2_INFO_CAPTURECOUNT, &count);
    for (std::size_t g = 0; g <= count; ++g)
      match.groups.emplace_back(ends[2 * g] == PCRE2_UNSET
                                    ? std::string_view{}
                                    : text.substr(ends[2 * g], ends[2 * g + 1] - ends[2 * g]));
    at = match.end > match.begin ? match.end : match.end + 1;
    found.push_back(std::move(match));
  }
  return found;
}

std::vector<std::vector<std::string>> Pattern::find_all(std::string_view text) const {
  std::vector<std::vector<std::string>> found;
  for (Match& match : matches(text)) {
    if (match.groups.size() > 1) match.groups.erase(match.groups.begin());
    found.push_back(std::move(match.groups));
  }
  return found;
}

std::string Pattern::removed_from(std::string_view text) const {
  std::string out;
  std::size_t kept = 0;
  for (const Match& match : matches(text)) {
    out.append(text.substr(kept, match.begin - kept));
    kept = match.end;
  }
  return out.append(text.substr(kept));
}

}  // namespace karat
