// Processes that share one computation, on one machine or on many, over c10d's Gloo (TCP).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "karat/torch.h"

namespace karat {

struct RanksOptions {
  int rank = 0, size = 1;          // this process, of how many
  std::string host = "127.0.0.1";  // of rank 0
  int port = 29500;                // where rank 0 listens
  double join_seconds = 300;       // until all are there
  double silence_seconds = 30;     // after which a rank is taken for lost
  double beat_seconds = 0;         // between signs of life; 0: a tenth of that, sooner among few
};

class RankGroup;

/// What went to other ranks so far, and how long this one waited for them.
struct RanksTraffic {
  std::int64_t bytes = 0;
  double seconds = 0;
};

/// The processes at one computation, numbered from 0. Every rank calls the same functions below in
/// the same order, from the same thread each; all of them return when all ranks have called them.
/// They throw Error as soon as a rank is lost, has left, or was not heard of for
/// RanksOptions::silence_seconds: a thread beside the work listens. Sums are the callers', who add
/// in an order of their own, so that results do not depend on how many ranks there are.
class Ranks {
 public:
  Ranks();  // alone
  /// Throws Error when not all come within join_seconds, or cannot be reached.
  explicit Ranks(const RanksOptions& options);
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool alone() const { return size_ == 1; }
  bool first() const { return rank_ == 0; }

  /// Gives to[r], a contiguous tensor of bytes (uint8, one dimension), to each rank r, this one
  /// included; what each has given this one, by rank.
  std::vector<torch::Tensor> exchange(const std::vector<torch::Tensor>& to);
  /// What each rank says, by rank.
  std::vector<std::string> gather(const std::string& mine);
  /// Throws Error on every rank, naming `what` and who differs, unless all say the same.
  void agree(std::string_view what, const std::string& mine);
  std::int64_t least(std::int64_t mine);

  /// Runs `body` with these ranks as the current ones of the calling thread. What it throws is told
  /// to the others, whose next call here throws an Error that repeats it.
  void share(const std::function<void()>& body);
  /// Those of the calling thread's innermost share(); else one that is alone.
  static Ranks& current();

  RanksTraffic traffic() const;

 private:
  int rank_ = 0, size_ = 1;
  std::unique_ptr<RankGroup> group_;  // empty: alone
};

/// The bytes of a tensor of any type on the CPU, without a copy where it is contiguous.
torch::Tensor bytes_of(const torch::Tensor& tensor);
/// A tensor of these sizes and numbers in the bytes from `offset` on, which it moves behind them.
torch::Tensor tensor_in(const torch::Tensor& bytes, std::int64_t& offset, torch::IntArrayRef sizes,
                        torch::Dtype dtype);

}  // namespace karat
