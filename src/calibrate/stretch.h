// Which part of a text too long to tokenize whole is read.
#pragma once

#include <string_view>

#include "core/rng.h"

namespace karat {

/// All of `text` (UTF-8), or at most `limit` bytes of it from a place `rng` chooses, cut at line
/// ends where there are any and never inside a character.
std::string_view stretch_of(std::string_view text, std::size_t limit, Rng& rng);

}  // namespace karat
