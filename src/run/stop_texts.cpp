#include "run/stop_texts.h"

#include <algorithm>
#include <utility>

namespace karat {

StopTexts::StopTexts(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, "");
}

/// Length of the longest end of what waits that a stop text begins with.
std::size_t StopTexts::held() const {
  std::size_t most = 0;
  for (const std::string& stop : stops_)
    for (std::size_t n = std::min(stop.size() - 1, waiting_.size()); n > most; --n)
      if (waiting_.ends_with(std::string_view(stop).substr(0, n))) most = n;
  return most;
}

std::string StopTexts::push(std::string_view piece) {
  if (!stopped_.empty()) return {};
  waiting_ += piece;
  for (const std::string& stop : stops_)
    if (const std::size_t at = waiting_.find(stop); at != std::string::npos) {
      waiting_.resize(at);
      stopped_ = stop;
    }
  const std::size_t keep = stopped_.empty() ? held() : 0;
  std::string certain = waiting_.substr(0, waiting_.size() - keep);
  waiting_.erase(0, certain.size());
  return certain;
}

std::string StopTexts::finish() {
  return std::exchange(waiting_, {});
}

}  // namespace karat
