// Texts as Python has them, sequences of code points: what templates of chats and tasks do to them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace karat {

/// The UTF-8 characters of a text; a byte that belongs to none is one of its own.
std::vector<std::string_view> characters(std::string_view text);
/// Bytes of the white space that `text`, which is not empty, begins with, by Python's
/// str.isspace(); 0: none.
std::size_t python_space_at(std::string_view text);
/// Without `any` of these characters at its ends; empty: without white space.
std::string_view stripped(std::string_view text, std::string_view any = {}, bool left = true,
                          bool right = true);
std::string upper_case(std::string_view text);
std::string lower_case(std::string_view text);
std::string title_case(std::string_view text);   // each word begins with a capital
std::string capitalized(std::string_view text);  // the text begins with one
/// The first `most` occurrences of `from` replaced (below 0: all); none of an empty one.
std::string replaced(std::string_view text, std::string_view from, std::string_view to,
                     std::int64_t most = -1);

}  // namespace karat
