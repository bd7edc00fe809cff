// What the bodies of both kinds of requests have in common.
#pragma once

#include <cstdint>
#include <string>

#include "serve/completion_request.h"
#include "serve/fields.h"

namespace karat {

inline constexpr std::int64_t kMostAlternatives = 20;

/// n, stream, stop, and how tokens are drawn. `user` and `model` change nothing.
CompletionRequest common_fields(JsonFields& fields, const CompletionLimits& limits);
/// Throws ApiError that names `field` when there is no token or the context cannot hold them.
void check_length(const CompletionRequest::Prompt& prompt, const CompletionLimits& limits,
                  const std::string& field);

}  // namespace karat
