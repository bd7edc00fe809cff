// SHA-256 of files and bytes, for the provenance that reports carry.
#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace karat {

std::string sha256(std::span<const std::byte> bytes);  // 64 hex digits
std::string sha256_file(const std::filesystem::path& path);

}  // namespace karat
