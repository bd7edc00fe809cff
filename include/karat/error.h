// The one exception of Karat's library borders.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace karat {

/// What every failed operation throws. The text reads `operation: got X, expected Y; hint`.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws Error with the text above; an empty `hint` is left out.
[[noreturn]] void fail(std::string_view operation, std::string_view got, std::string_view expected,
                       std::string_view hint = {});

}  // namespace karat
