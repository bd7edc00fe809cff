// The file that says through which quantizer a model was trained.
#pragma once

#include <filesystem>
#include <string>

namespace karat {

inline constexpr const char* kQuantizerRecord = "quantizer.json";

/// "quest:weights=4,activations=4,…" of the model in `folder`; empty: it has no such file that says
/// so.
std::string trained_quantizer(const std::filesystem::path& folder);

}  // namespace karat
