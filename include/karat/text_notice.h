// What a command says of a text file before its results are believed.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace karat {

/// One line where `file` holds JSON `records`, whose texts under `field` are read, unless its name,
/// *.jsonl, says so; where they are strings; and where a plain text has several lines that are JSON
/// objects. Else none, as of a file that is gone by now.
std::vector<std::string> text_notices(const std::filesystem::path& file, const std::string& field,
                                      bool records);
/// The same of a file that is opened for it. Throws Error as TextFile::open does.
std::vector<std::string> text_notices(const std::filesystem::path& file, const std::string& field);

}  // namespace karat
