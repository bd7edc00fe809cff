// A template cut into text and the words of its tags.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace karat {

struct TemplateToken {
  enum class Kind {
    text,
    output_begin,
    output_end,
    block_begin,
    block_end,
    name,
    string,
    integer,
    real,
    symbol,
    end
  };
  Kind kind;
  std::string text;  // of a string: what it stands for
  int line = 1;
};

/// With trim_blocks, lstrip_blocks and without keep_trailing_newline, as transformers sets them.
/// The last token is `end`. Throws Error with the line of what is malformed.
std::vector<TemplateToken> template_tokens(std::string_view source);

}  // namespace karat
