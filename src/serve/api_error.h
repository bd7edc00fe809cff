// What a client is told when its request is refused.
#pragma once

#include <stdexcept>
#include <string>

namespace karat {

struct ApiError : std::runtime_error {
  /// `param` is the field that is wrong, if one is.
  ApiError(int status, const std::string& message, std::string param = {})
      : std::runtime_error(message), status(status), param(std::move(param)) {}
  int status;
  std::string param;
};

}  // namespace karat
