// The gradient sweep on one random sequence: seconds, peak anonymous memory, and the seconds that
// its matrix products (forward, recomputation, backward; attention's and the head's included) take
// alone in LibTorch. The products are timed block by block between the sweep's own steps, so that
// whatever else the machine does slows both alike.
// Usage: bench_gradient MODEL [tokens] [threads]     (tools/random_llama.py writes a MODEL)
#include <fmt/format.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "core/threads.h"
#include "karat/calibrate.h"
#include "model/parallel.h"
#include "model/threads.h"

using namespace karat;

namespace {

constexpr double kGiB = 1024.0 * 1024 * 1024;

/// Seconds by the clock and of all cores' work for us; on a busy machine the second tells more.
struct Time {
  double wall = 0, cores = 0;
  Time& operator+=(const Time& other) {
    wall += other.wall, cores += other.cores;
    return *this;
  }
};

Time now() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return {std::chrono::duration<double>(since).count(),
          static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec)};
}

Time since(const Time& start) {
  const Time end = now();
  return {end.wall - start.wall, end.cores - start.cores};
}

/// Bytes of this process's memory that no file backs.
double anonymous_bytes() {
  std::ifstream status("/proc/self/status");
  std::string key;
  while (status >> key) {
    double kilobytes = 0;
    if (key == "RssAnon:" && status >> kilobytes) return kilobytes * 1024;
    status.ignore(256, '\n');
  }
  return 0;
}

/// The highest anonymous_bytes() seen while this lives, looking 100 times a second.
class PeakMemory {
 public:
  PeakMemory() : watcher_([this] { watch(); }) {}
  ~PeakMemory() {
    stop_ = true;
    watcher_.join();
  }
  double bytes() const { return peak_; }

 private:
  void watch() {
    while (!stop_) {
      peak_ = std::max(peak_.load(), anonymous_bytes());
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  std::atomic<double> peak_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread watcher_;
};

/// LibTorch and its BLAS divide their work themselves while this lives, as they do for everybody
/// else. The sweep around it keeps them on one thread.
class Multithreaded {
 public:
  Multithreaded() { set_torch_threads(threads_); }
  ~Multithreaded() { set_torch_threads(1); }
  Multithreaded(const Multithreaded&) = delete;
  Multithreaded& operator=(const Multithreaded&) = delete;

 private:
  int threads_ = thread_count();
};

/// The matrix products of a sweep on buffers of random numbers, and the operations they count.
class Products {
 public:
  Products(const Architecture& arch, std::int64_t tokens) : arch_(arch), tokens_(tokens) {
    const auto wide = std::max(arch.hidden, arch.ffn);
    left_ = torch::randn({tokens * wide});
    right_ = torch::randn({arch.hidden * std::max(wide, arch.vocab)});
    out_ = torch::empty({std::max({tokens, arch.ffn, kHeadRows}) * wide + kHeadRows * arch.vocab});
    out_.zero_();
  }
  double bytes() const {
    return static_cast<double>(left_.nbytes() + right_.nbytes() + out_.nbytes());
  }
  Time spent;
  double operations = 0;  // multiply-adds times 2

  void forward() {
    timed([&] {
      for (const Linear* linear : arch_.blocks[0].linears())
        product(view(left_, tokens_, linear->in), view(right_, linear->out, linear->in).t());
      attention(2);
    });
  }
  /// Recomputation and the gradients of inputs and weights.
  void backward(bool with_input) {
    forward();
    timed([&] {
      const Block& block = arch_.blocks[0];
      for (const Linear* linear : block.linears()) {
        const auto gradient = view(left_, tokens_, linear->out);
        if (with_input || !is_first(*linear))
          product(gradient, view(right_, linear->out, linear->in));
        product(gradient.t(), view(right_, tokens_, linear->in));
      }
      attention(5);
    });
  }
  void head() {
    timed([&] {
      for (std::int64_t begin = 0; begin < tokens_; begin += kHeadRows) {
        product(view(left_, kHeadRows, arch_.hidden), view(right_, arch_.vocab, arch_.hidden).t());
        product(view(out_, kHeadRows, arch_.vocab), view(right_, arch_.vocab, arch_.hidden));
      }
    });
  }

 private:
  static constexpr std::int64_t kHeadRows = 256, kQueries = 128;

  template <class Body>
  void timed(const Body& body) {
    const Multithreaded torch_itself;
    const Time start = now();
    body();
    spent += since(start);
  }
  static torch::Tensor view(const torch::Tensor& buffer, std::int64_t rows, std::int64_t columns) {
    return buffer.narrow(0, 0, rows * columns).view({rows, columns});
  }
  bool is_first(const Linear& linear) const {
    for (const Linear* first : layers_reading(Input::attention, arch_.blocks[0]))
      if (first->name == linear.name) return true;
    return false;
  }
  void product(const torch::Tensor& a, const torch::Tensor& b) {
    const auto rows = a.size(0), columns = b.size(1);
    auto out = out_.narrow(0, out_.numel() - rows * columns, rows * columns).view({rows, columns});
    at::mm_out(out, a, b);
    operations += 2.0 * static_cast<double>(rows) * static_cast<double>(columns) *
                  static_cast<double>(a.size(1));
  }
  /// `count` products of [queries of the heads of one kv head, head_dim] with the keys they reach,
  /// kv heads side by side as the sweep runs them.
  void attention(int count) {
    const auto rows = kQueries * arch_.heads / arch_.kv_heads, dim = arch_.head_dim;
    const auto queries = view(left_, rows, dim), keys = view(right_, tokens_, dim);
    parallel_indices(arch_.kv_heads, torch::kCPU, [&](std::int64_t) {
      for (std::int64_t end = kQueries; end <= tokens_; end += kQueries)
        for (int i = 0; i < count; ++i) torch::mm(queries, keys.narrow(0, 0, end).t());
    });
    const double chunks = static_cast<double>(tokens_ / kQueries);
    operations += 2.0 * count * static_cast<double>(arch_.kv_heads * rows * dim * kQueries) *
                  chunks * (chunks + 1) / 2;
  }

  const Architecture& arch_;
  std::int64_t tokens_;
  torch::Tensor left_, right_, out_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_gradient MODEL [tokens] [threads]\n");
    return 2;
  }
  const std::int64_t tokens = argc > 2 ? std::stoll(argv[2]) : 2048;
  const int threads = argc > 3 ? std::stoi(argv[3]) : core_count();
  set_torch_threads(threads);
  const ThreadScope scope(threads);
  auto file = Safetensors::open_folder(argv[1]);
  auto arch = read_architecture(argv[1]);
  match_weights(arch, file);
  torch::manual_seed(0);
  CalibrationSet set;
  set.ids = torch::randint(arch.vocab, {1, tokens}, torch::kInt64);

  const torch::NoGradGuard no_grad;
  Products products(arch, tokens);
  {
    const SerialTorch serial;
    products.forward();  // once unmeasured: threads and pages
  }
  products.spent = {};
  products.operations = 0;
  const auto blocks = static_cast<std::int64_t>(arch.blocks.size());
  Time before = now(), swept;
  SweepOptions options{.needs = {.gradient = true}};
  options.progress = [&](const ProgressEvent& event) {
    swept += since(before);
    if (event.done <= blocks)
      products.forward();
    else
      products.backward(event.done < event.total);
    if (event.done == blocks) products.head();
    fmt::print(stderr, "\r{}/{} {:.0f} s, products {:.0f} s", event.done, event.total, swept.wall,
               products.spent.wall);
    before = now();
    return true;
  };
  const PeakMemory peak;
  const auto result = sweep(arch, file, set, options, [](BlockVisit&) {});
  swept += since(before);
  fmt::print("\n{} tokens, {} threads, loss {:.4f}\n", tokens, thread_count(), result.loss);
  fmt::print("sweep     {:8.2f} s {:8.2f} core-s\n", swept.wall, swept.cores);
  fmt::print("products  {:8.2f} s {:8.2f} core-s  {:.1f} TFLOP, {:.0f} GFLOP/s\n",
             products.spent.wall, products.spent.cores, products.operations / 1e12,
             products.operations / products.spent.wall / 1e9);
  fmt::print("ratio     {:8.3f}   {:8.3f}\n", swept.wall / products.spent.wall,
             swept.cores / products.spent.cores);
  fmt::print("peak anonymous memory {:.2f} GiB\n", (peak.bytes() - products.bytes()) / kGiB);
  return 0;
}
