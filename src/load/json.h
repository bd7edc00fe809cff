// JSON that comes from outside: parsed with a bounded depth, and quoted safely in errors.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace karat {

/// The document in `text`, the content of `path`. Throws Error naming `path` when it is malformed
/// or nested deeper than any model's files are.
nlohmann::json parse_json(std::string_view text, const std::string& path);

/// What `error` found wrong in `text`, and where (bytes from 0, lines from 1), in our words.
std::string json_problem(std::string_view text, const nlohmann::json::exception& error);

/// `text` for an error message: control characters become '?', and a long text is cut.
std::string excerpt(std::string_view text);

}  // namespace karat
