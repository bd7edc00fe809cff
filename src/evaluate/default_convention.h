// The convention of who names none, and what to tell those where it says little.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "karat/evaluate.h"

namespace karat {

/// Its windows are as long as the model's context.
inline constexpr std::string_view kDefaultConvention = "hf";

/// One line where `windows`, all that it makes of `text`, are so few, and the context so long, that
/// another convention compares with more models; none where `limit` may have made them few.
std::vector<std::string> few_windows_notice(const NamedText& text, std::int64_t windows,
                                            std::int64_t context, std::int64_t limit);

}  // namespace karat
