// Tests that need models or texts which do not lie in the repository: each stands in the test suite
// "shared" and asks `missing` first. Its layer's ctest entry <layer>_needs_shared is reported as
// skipped where one of them could not run.
#pragma once

#include <filesystem>
#include <string_view>

namespace karat::testing {

/// A path below the folder that KARAT_SHARED names, or else below `shared` beside the repository.
std::filesystem::path shared(std::string_view name);

/// True where there is no such path: says so, and this program will not end as passed.
bool missing(const std::filesystem::path& path);

}  // namespace karat::testing
