// A stream of text that ends before the first of some stop texts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace karat {

class StopTexts {
 public:
  explicit StopTexts(std::vector<std::string> stops);
  /// Takes a piece of text in and returns what is certain not to belong to a stop text. Where one
  /// is complete, stopped() says which, and nothing comes any more.
  std::string push(std::string_view piece);
  std::string finish();  // what was held back
  const std::string& stopped() const { return stopped_; }

 private:
  std::size_t held() const;
  std::vector<std::string> stops_;
  std::string waiting_, stopped_;
};

}  // namespace karat
