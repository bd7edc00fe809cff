// Whether what is in the way of an output is a former one, told by what is in it.
#pragma once

#include <filesystem>
#include <string>

namespace karat {

/// What keeps `folder` from being one that quantize() wrote, with nothing else in it; empty: it is.
std::string not_quantized(const std::filesystem::path& folder);
/// The same of a file of scores, which measure() writes.
std::string not_scores(const std::filesystem::path& file);

}  // namespace karat
