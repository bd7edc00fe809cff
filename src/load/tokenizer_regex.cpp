#define PCRE2_CODE_UNIT_WIDTH 8
#include "load/tokenizer_regex.h"

#include <fmt/format.h>
#include <pcre2.h>

#include "karat/error.h"

namespace karat {
namespace {

constexpr std::size_t kPatternLimit = 1 << 16;  // bytes; the longest pattern in use has about 600

// Room for one match, and a JIT stack that grows, because the default of 32 KiB ends on long runs.
struct Workspace {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, 64 << 20, nullptr);

  Workspace() {
    if (context && stack) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Workspace() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

std::string message_of(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

std::string shortened(std::string_view pattern) {
  return std::string(pattern.substr(0, 80)) + (pattern.size() > 80 ? "…" : "");
}

}  // namespace

Regex::Regex(std::string_view pattern) {
  constexpr std::string_view operation = "compile pre-tokenizer pattern";
  if (pattern.size() > kPatternLimit)
    fail(operation, fmt::format("{} bytes", pattern.size()), fmt::format("≤ {}", kPatternLimit));
  const std::string translated = pcre2_pattern(pattern);
  std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  if (context) pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  std::size_t offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                    &offset, context.get());
  if (!code)
    fail(operation, fmt::format("{} in “{}”", message_of(error), shortened(pattern)),
         "a regular expression");
  code_ = std::shared_ptr<const void>(
      code, [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); });
  std::uint32_t matches_empty = 0;
  pcre2_pattern_info(code, PCRE2_INFO_MATCHEMPTY, &matches_empty);
  if (matches_empty)
    fail(operation, fmt::format("“{}”, which can match nothing", shortened(pattern)),
         "a pattern of at least one character");
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where it fails, pcre2_match interprets
}

std::optional<Span> Regex::find(std::string_view text, std::size_t from) const {
  thread_local const Workspace workspace;
  if (!workspace.data || !workspace.context) throw std::bad_alloc();
  const int found = pcre2_match(static_cast<const pcre2_code*>(code_.get()),
                                reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                                PCRE2_NO_UTF_CHECK, workspace.data, workspace.context);
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (found < 0) fail("split text", message_of(found), "a pattern that ends within its limits");
  const std::size_t* span = pcre2_get_ovector_pointer(workspace.data);
  return Span{span[0], span[1]};
}

}  // namespace karat
