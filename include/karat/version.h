// Which Karat this is, as reports record it.
#pragma once

#include <string_view>

namespace karat {

std::string_view version();  // "0.1.0"

}  // namespace karat
