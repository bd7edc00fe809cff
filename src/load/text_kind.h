// What is told of a file by its first bytes: whether it holds text, and what else it might be.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "core/file.h"

namespace karat {

/// A file of UTF-8 text, mapped. Throws Error naming what else it holds and what to do about it.
std::shared_ptr<const MappedFile> open_utf8(const std::filesystem::path& file);

/// `file` as one word of a shell command.
std::string shell_word(const std::filesystem::path& file);

/// `text` without the byte order mark that UTF-8 files of some programs begin with.
std::string_view without_mark(std::string_view text);

/// Where the first malformed sequence of `text` begins; npos: all of it is UTF-8.
std::size_t find_malformed(std::string_view text);

}  // namespace karat
