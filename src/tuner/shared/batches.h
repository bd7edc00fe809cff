// Which sequences a step takes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "core/rng.h"

namespace karat {

/// Goes through the sequences in an order that is drawn anew each time round. What comes follows
/// from seed and place alone.
class Batches {
 public:
  Batches(std::int64_t sequences, std::int64_t batch, std::uint64_t seed)
      : order_(static_cast<std::size_t>(sequences)),
        batch_(static_cast<std::size_t>(std::min(batch, sequences))),
        next_(order_.size()),
        rng_(seed) {
    std::iota(order_.begin(), order_.end(), 0);
  }
  std::vector<std::int64_t> next() {
    if (next_ + batch_ > order_.size()) {
      for (std::size_t i = order_.size(); i > 1; --i)
        std::swap(order_[i - 1], order_[static_cast<std::size_t>(rng_.below(i))]);
      next_ = 0;
    }
    const auto from = order_.begin() + static_cast<std::ptrdiff_t>(next_);
    next_ += batch_;
    return {from, from + static_cast<std::ptrdiff_t>(batch_)};
  }

 private:
  std::vector<std::int64_t> order_;
  std::size_t batch_, next_;
  Rng rng_;
};

}  // namespace karat
