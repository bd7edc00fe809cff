#include "core/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/platform.h"
#include "karat/error.h"

namespace karat {
namespace {

thread_local bool inside_pool = false;
thread_local const Runtime::State* in_force = nullptr;

/// CPUs that cgroup v2 grants ("max 100000" or "150000 100000"); a large number when unlimited.
double cgroup_cpus() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 1e9;
  return std::max(1.0, std::stod(quota) / period);
}

/// Where threads wait for one another: first looking, so that a wait of microseconds costs no more;
/// then letting others run between looks; at last asleep. An oversubscribed core is given away and
/// an idle one is not kept warm for longer than some 100 µs.
class Gate {
 public:
  /// Returns once ready() is true, which whoever makes it so says by open().
  template <typename Ready>
  void wait(const Ready& ready) {
    for (int look = 0; look < kLooks; ++look) {
      if (ready()) return;
      look < kBusyLooks ? relax_core() : std::this_thread::yield();
    }
    std::unique_lock lock(mutex_);
    ++sleepers_;
    wake_.wait(lock, ready);
    --sleepers_;
  }
  void open() {
    if (sleepers_ == 0) return;
    { std::lock_guard lock(mutex_); }  // a sleeper between its last look and its sleep has this
    wake_.notify_all();
  }

 private:
  static constexpr int kBusyLooks = 500, kLooks = 600;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<int> sleepers_ = 0;
};

/// Memory that is asked for into the L2 cache, no more than fits there with room to spare.
class Prefetch {
 public:
  Prefetch() = default;
  Prefetch(const std::byte* data, std::int64_t bytes)
      : at_(data), end_(data + std::min(bytes, kMost)) {}

  /// Goes on where it was until everything is asked for or stop() is true.
  template <typename Stop>
  void until(const Stop& stop) {
    for (; at_ < end_ && !stop(); at_ += kStep)
      for (std::int64_t line = 0; line < kStep; line += 64) __builtin_prefetch(at_ + line, 0, 2);
  }

 private:
  static constexpr std::int64_t kMost = 1 << 18, kStep = 1 << 10;
  const std::byte *at_ = nullptr, *end_ = nullptr;
};

}  // namespace

/// Every thread begins with a share of its own, pieces one after the other, since memory is read
/// fastest so: alternating pieces of two threads would end each other's requests ahead. Who is
/// done helps with the shares of the others.
class Pool {
 public:
  explicit Pool(int threads) : shares_(static_cast<std::size_t>(threads)) {}
  ~Pool() {
    stop_ = true;
    begin_.open();
    for (auto& worker : workers_) worker.join();
  }
  int size() const { return static_cast<int>(shares_.size()); }

  void run(std::int64_t count, std::int64_t grain,
           const std::function<void(std::int64_t, std::int64_t)>& body, const Upcoming& next) {
    std::lock_guard one_at_a_time(run_mutex_);
    for (int i = static_cast<int>(workers_.size()) + 1; i < size(); ++i)  // the first time
      workers_.emplace_back([this, i] { work(i); });
    body_ = &body, grain_ = grain, upcoming_ = next, error_ = nullptr, state_of_caller_ = in_force;
    for (int i = 0; i < size(); ++i) {
      Share& share = shares_[static_cast<std::size_t>(i)];
      share.next = share_begin(i, count, grain);
      share.end = share_begin(i + 1, count, grain);
    }
    state_ += kRound + kOpen;
    begin_.open();
    drain(0);
    state_ -= kOpen;  // who has not come by now need not: the others did its share
    end_.wait([this] { return state_ % kOpen == 0; });
    state_of_caller_ = nullptr;
    if (error_) std::rethrow_exception(error_);
  }

 private:
  // state_: the workers inside a round, whether it may still be entered, and how many there were.
  static constexpr std::uint64_t kOpen = 1 << 16, kRound = 1 << 17;

  struct alignas(64) Share {
    std::atomic<std::int64_t> next = 0;
    std::int64_t end = 0;
  };

  /// The beginning of a thread's share, as far as it lies in one matrix.
  Prefetch of_share(int thread, const Upcoming& next) const {
    const auto pieces = [&](const auto& rows) {
      return (rows.count + next.grain - 1) / next.grain;
    };
    std::int64_t all = 0;
    for (const Upcoming::Rows& rows : next.rows) all += pieces(rows);
    std::int64_t begin = share_begin(thread, all, 1), end = share_begin(thread + 1, all, 1);
    for (const Upcoming::Rows& rows : next.rows) {
      const std::int64_t own = pieces(rows);
      if (begin < own) {
        const std::int64_t row = begin * next.grain, last = std::min(end * next.grain, rows.count);
        return {rows.data + row * rows.bytes, (last - row) * rows.bytes};
      }
      begin -= own, end -= own;
    }
    return {};
  }

  /// Where the share of a thread begins; for the thread after the last, `count`.
  std::int64_t share_begin(int thread, std::int64_t count, std::int64_t grain) const {
    const std::int64_t pieces = (count + grain - 1) / grain;
    return std::min(pieces * thread / size() * grain, count);
  }

  void work(int thread) {
    Prefetch prefetch;
    for (std::uint64_t seen = 0;;) {
      const auto called = [&] { return stop_ || state_ / kRound != seen; };
      prefetch.until(called);
      begin_.wait(called);
      if (stop_) return;
      seen = state_ / kRound;
      if (!enter()) continue;
      in_force = state_of_caller_;
      drain(thread);
      in_force = nullptr;
      if (upcoming_.rows[0].count > 0) prefetch = of_share(thread, upcoming_);
      if (--state_ % kOpen == 0) end_.open();
    }
  }

  /// Counts this worker in, unless the round is over.
  bool enter() {
    std::uint64_t state = state_;
    while (state / kOpen % 2 == 1)
      if (state_.compare_exchange_weak(state, state + 1)) return true;
    return false;
  }

  void drain(int thread) {
    inside_pool = true;
    for (int i = 0; i < size(); ++i)
      drain(shares_[static_cast<std::size_t>((thread + i) % size())]);
    inside_pool = false;
  }

  void drain(Share& share) {
    for (std::int64_t begin; (begin = share.next.fetch_add(grain_)) < share.end;) {
      try {
        (*body_)(begin, std::min(begin + grain_, share.end));
      } catch (...) {
        std::lock_guard lock(error_mutex_);
        if (!error_) error_ = std::current_exception();
        for (Share& left : shares_) left.next = left.end;
      }
    }
  }

  std::vector<Share> shares_;
  std::vector<std::thread> workers_;
  std::mutex run_mutex_, error_mutex_;
  Gate begin_, end_;
  std::atomic<std::uint64_t> state_ = 0;
  std::atomic<bool> stop_ = false;
  const std::function<void(std::int64_t, std::int64_t)>* body_ = nullptr;
  std::int64_t grain_ = 1;
  Upcoming upcoming_;
  std::exception_ptr error_;
  const Runtime::State* state_of_caller_ = nullptr;
};

int core_count() {
  cpu_set_t set;
  const int allowed = sched_getaffinity(0, sizeof set, &set) == 0
                          ? CPU_COUNT(&set)
                          : static_cast<int>(std::thread::hardware_concurrency());
  return std::max(1, std::min(allowed, static_cast<int>(std::ceil(cgroup_cpus()))));
}

std::shared_ptr<Pool> make_pool(int threads) {
  if (threads < 1) fail("threads", std::to_string(threads), "at least 1");
  return std::make_shared<Pool>(threads);
}

int size_of(const Pool& pool) {
  return pool.size();
}

const Runtime::State& current_state() {
  if (in_force != nullptr) return *in_force;
  static const auto all_cores =
      std::make_shared<const Runtime::State>(make_pool(core_count()), nullptr, Activations::f32);
  return *all_cores;
}

Runtime::Scope::Scope(std::shared_ptr<const State> state)
    : state_(std::move(state)), before_(std::exchange(in_force, state_.get())) {}

Runtime::Scope::~Scope() {
  in_force = before_;
}

namespace {

std::shared_ptr<const Runtime::State> with_threads(int threads) {
  const Runtime::State& now = current_state();
  return std::make_shared<const Runtime::State>(make_pool(threads), now.kernels, now.activations);
}

}  // namespace

ThreadScope::ThreadScope(int threads) : scope_(with_threads(threads)) {}

int thread_count() {
  return current_state().pool->size();
}

void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t, std::int64_t)>& body,
                  const Upcoming& next) {
  grain = std::max<std::int64_t>(1, grain);
  if (!inside_pool && count > grain) return current_state().pool->run(count, grain, body, next);
  for (std::int64_t begin = 0; begin < count; begin += grain)
    body(begin, std::min(count, begin + grain));
}

}  // namespace karat
