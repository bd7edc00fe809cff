#include "ranks/gloo/watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "karat/error.h"

namespace karat {
namespace {

constexpr int kBeats = 10;              // within the silence
constexpr double kSecondsARank = 0.05;  // all together ask the store 40 times each a second
const std::string kDone = "done";

std::string key(const char* what, int rank) {
  return fmt::format("{}/{}", what, rank);
}

[[noreturn]] void fail_lost(const std::string& who) {
  fail("ranks", who, "all ranks until the work is done",
       "what is finished is kept; the same command on all of them goes on");
}

}  // namespace

RankWatch::RankWatch(c10::intrusive_ptr<c10d::Store> store, const RanksOptions& options)
    : store_(std::move(store)),
      rank_(options.rank),
      size_(options.size),
      silence_(options.silence_seconds),
      beat_(options.beat_seconds > 0
                ? options.beat_seconds
                : std::min(options.silence_seconds / kBeats, kSecondsARank * options.size)),
      others_(static_cast<std::size_t>(options.size)) {
  for (Other& other : others_) other.heard = Clock::now();
  thread_ = std::thread([this] { listen(); });
}

RankWatch::~RankWatch() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void RankWatch::listen() {
  while (!stop_) {
    try {
      store_->add(key("beat", rank_), 1);
      for (int rank = 0; rank < size_; ++rank)
        if (rank != rank_) look_at(rank);
      const std::lock_guard lock(mutex_);
      answered_ = Clock::now();
      others_done_ = all_done();
    } catch (const std::exception&) {  // of the store, which is gone with rank 0
      if (!others_.front().done) lose(0, "its connection is broken");
      return;
    }
    const auto next = Clock::now() + beat_;
    while (!stop_ && Clock::now() < next)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void RankWatch::look_at(int rank) {
  Other& other = others_[static_cast<std::size_t>(rank)];
  if (other.done) return;
  if (store_->check({key("gone", rank)})) {
    const std::vector<std::uint8_t> bytes = store_->get(key("gone", rank));
    const std::string why(bytes.begin(), bytes.end());
    other.done = true;
    if (why != kDone) lose(rank, "it stopped: " + why);
    return;
  }
  const std::int64_t count = store_->add(key("beat", rank), 0);
  const auto now = Clock::now();
  if (count != other.count) {
    other.count = count;
    other.heard = now;
  } else if (now - other.heard > silence_) {
    lose(rank, fmt::format("nothing was heard of it for {:.0f} s", silence_.count()));
  }
}

bool RankWatch::all_done() const {
  for (int rank = 0; rank < size_; ++rank)
    if (rank != rank_ && !others_[static_cast<std::size_t>(rank)].done) return false;
  return true;
}

void RankWatch::lose(int rank, const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (lost_.empty()) lost_ = fmt::format("rank {} of {} lost: {}", rank, size_, why);
}

bool RankWatch::lost() const {
  const std::lock_guard lock(mutex_);
  return !lost_.empty();
}

void RankWatch::check() const {
  const std::lock_guard lock(mutex_);
  if (!lost_.empty()) fail_lost(lost_);
  if (Clock::now() - answered_ > 1.5 * silence_)  // the thread hangs in a call to the store
    fail_lost(fmt::format("rank 0 of {} lost: it does not answer", size_));
}

void RankWatch::explain(const std::string& what) const {
  const auto end = Clock::now() + 1.5 * silence_;
  while (Clock::now() < end) {
    check();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  fail_lost("a broken connection (" + what + ")");
}

void RankWatch::leave(const std::string& why) {
  try {
    const std::string& text = why.empty() ? kDone : why;
    store_->set(key("gone", rank_), std::vector<std::uint8_t>(text.begin(), text.end()));
  } catch (const std::exception&) {
    return;  // rank 0 is gone: nobody is left to be told
  }
  // Rank 0 takes the store along: it waits until the others have left or know why it leaves.
  const auto end = Clock::now() + silence_;
  while (rank_ == 0 && Clock::now() < end && !lost()) {
    {
      const std::lock_guard lock(mutex_);
      if (others_done_) return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace karat
