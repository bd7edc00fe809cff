#include "model/parallel.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "core/threads.h"
#include "model/threads.h"

namespace karat {
namespace {

/// Products below this many multiply-adds are done by one thread.
constexpr double kSmall = 1 << 20;
constexpr std::int64_t kPieces = 8, kLeast = 64;

/// Rows of a product that are done at once: they depend on their number alone, and are so many that
/// packing the other matrix for each piece costs little.
std::int64_t piece_of(std::int64_t side) {
  return std::max(kLeast, (side / kPieces + 31) / 32 * 32);
}

/// Calls body(first, count) on pieces of one side of a product.
void cut(std::int64_t side, double work, torch::Device device,
         const std::function<void(std::int64_t, std::int64_t)>& body) {
  parallel_rows(side, work < kSmall ? side : piece_of(side), device, body);
}

/// The threads of every SerialTorch of the process that does something.
struct Serial {
  std::mutex mutex;
  std::set<const Pool*> pools;
  int torch_threads = 1;                         // before the first of them
  static inline thread_local int of_thread = 0;  // such scopes of the calling thread

  static Serial& of_process() {
    static Serial serial;
    return serial;
  }
};

double work_of(const torch::Tensor& a, const torch::Tensor& b) {
  return static_cast<double>(a.numel()) * static_cast<double>(b.size(1));
}

}  // namespace

SerialTorch::SerialTorch() {
  Serial& serial = Serial::of_process();
  const std::lock_guard lock(serial.mutex);
  if (serial.pools.contains(current_state().pool.get())) return;
  const int torch_threads = at::get_num_threads();  // this thread's, which the first look sets
  if (serial.pools.empty()) serial.torch_threads = torch_threads;
  threads_.emplace(thread_count());  // new ones, which take LibTorch's count from now
  pool_ = current_state().pool.get();
  serial.pools.insert(pool_);
  ++Serial::of_thread;
  set_torch_threads(1);
}

SerialTorch::~SerialTorch() {
  if (!threads_) return;
  Serial& serial = Serial::of_process();
  const std::lock_guard lock(serial.mutex);
  serial.pools.erase(pool_);
  threads_.reset();
  const bool last_of_thread = --Serial::of_thread == 0;
  if (serial.pools.empty())
    set_torch_threads(serial.torch_threads);
  else if (last_of_thread)
    set_own_torch_threads(serial.torch_threads);
}

void parallel_indices(std::int64_t count, torch::Device device,
                      const std::function<void(std::int64_t)>& body) {
  parallel_rows(count, 1, device, [&](std::int64_t first, std::int64_t indices) {
    for (std::int64_t i = first; i < first + indices; ++i) body(i);
  });
}

void parallel_rows(std::int64_t rows, std::int64_t piece, torch::Device device,
                   const std::function<void(std::int64_t, std::int64_t)>& body) {
  const auto run = [&](std::int64_t first, std::int64_t count) {
    const torch::NoGradGuard no_grad;
    body(first, count);
  };
  if (rows == 0) return;
  if (!device.is_cpu()) return run(0, rows);
  const SerialTorch serial;
  const auto pieces = (rows + piece - 1) / piece;
  parallel_for(pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) run(i * piece, std::min(piece, rows - i * piece));
  });
}

std::int64_t cached_rows(std::int64_t width) {
  return std::max<std::int64_t>(1, (std::int64_t{1} << 16) / std::max<std::int64_t>(1, width));
}

torch::Tensor product(const torch::Tensor& a, const torch::Tensor& b) {
  auto out = torch::empty({a.size(0), b.size(1)}, a.options());
  if (a.size(0) >= b.size(1)) {
    cut(a.size(0), work_of(a, b), a.device(), [&](std::int64_t first, std::int64_t count) {
      auto part = out.narrow(0, first, count);
      at::mm_out(part, a.narrow(0, first, count), b);
    });
  } else {
    cut(b.size(1), work_of(a, b), a.device(), [&](std::int64_t first, std::int64_t count) {
      auto part = out.narrow(1, first, count);
      at::mm_out(part, a, b.narrow(1, first, count));
    });
  }
  return out;
}

void add_product(torch::Tensor out, const torch::Tensor& a, const torch::Tensor& b, double factor) {
  cut(a.size(0), work_of(a, b), a.device(), [&](std::int64_t first, std::int64_t count) {
    out.narrow(0, first, count).addmm_(a.narrow(0, first, count), b, 1, factor);
  });
}

void add_gram(torch::Tensor out, const torch::Tensor& x) {
  add_gram(out, x, x);
}

void add_gram(torch::Tensor out, const torch::Tensor& x, const torch::Tensor& y) {
  const std::int64_t n = x.size(1);
  parallel_rows(n, piece_of(n), x.device(), [&](std::int64_t first, std::int64_t count) {
    const torch::Tensor left = x.narrow(1, first, count), right = y.slice(1, first);
    out.narrow(0, first, count).slice(1, first).addmm_(left.t(), right);
  });
}

void mirror(torch::Tensor out) {
  const std::int64_t n = out.size(0);
  parallel_rows(n, piece_of(n), out.device(), [&](std::int64_t first, std::int64_t count) {
    const std::int64_t end = first + count;
    out.slice(0, end).slice(1, first, end).copy_(out.slice(0, first, end).slice(1, end).t());
    const torch::Tensor square = out.slice(0, first, end).slice(1, first, end);
    square.copy_(square.triu() + square.triu(1).t());
  });
}

}  // namespace karat
