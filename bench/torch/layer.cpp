// Where the time of quantizing a layer with the method karat goes: each stage by itself, seconds of
// one core, on random weights and inputs. What a sweep's forward and backward passes take is not
// among them.
// Usage: bench_layer [OUT IN [BITS [TOKENS]]]     (2048 8192 4 4096)
#include <fmt/format.h>
#include <time.h>

#include <cstdlib>
#include <functional>

#include "karat/axes.h"
#include "model/parallel.h"
#include "recipe/basis.h"
#include "recipe/hessian.h"

namespace karat {
Grid column_trellis_grid(Options& options);
Solver gptq_solver(Options& options);
}  // namespace karat
using namespace karat;

namespace {

/// This thread's seconds: what other processes do counts less.
double used() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

template <class Value>
Value with_options(Value (*make)(Options&), const std::string& name, const std::string& text) {
  Options options(name, text);
  Value value = make(options);
  options.finish();
  return value;
}

struct Stages {
  double weights;
  double time(const char* stage, const std::function<void()>& call) const {
    const double start = used();
    call();
    return print(stage, used() - start);
  }
  double print(const char* stage, double seconds) const {
    fmt::print("{:44} {:8.2f} s {:9.1f} ns/weight\n", stage, seconds, 1e9 * seconds / weights);
    std::fflush(stdout);
    return seconds;
  }
};

}  // namespace

int main(int argc, char** argv) {
  const auto given = [&](int i, std::int64_t other) {
    return argc > i ? std::atoll(argv[i]) : other;
  };
  const std::int64_t out = given(1, 2048), in = given(2, 8192), bits = given(3, 4);
  const torch::NoGradGuard no_grad;
  const SerialTorch serial;
  const ThreadScope scope(1);
  torch::manual_seed(0);
  const Grid grid =
      with_options(column_trellis_grid, "column-trellis", fmt::format("bits={}", bits));
  const Solver gptq = with_options(gptq_solver, "gptq", "");
  Layer layer{.name = "layer", .weight = torch::randn({out, in}) * 0.02};
  const torch::Tensor x = torch::randn({given(4, 4096), in});
  layer.stats.hessian = torch::zeros({in, in});

  const Stages stages{static_cast<double>(out * in)};
  stages.time("statistics: H of the inputs", [&] {
    add_gram(layer.stats.hessian, x);
    mirror(layer.stats.hessian);
    layer.stats.hessian *= 2.0 / static_cast<double>(x.size(0));
  });
  Layer rotated;
  stages.time("rotation of weights and H", [&] { rotated = in_basis(layer, {.rotation = 0}); });
  const double factor = stages.time("factor of the inverse H",
                                    [&] { inverse_factor(rotated.stats.hessian, 0.01, "layer"); });
  const double search = stages.time("search for the codes", [&] {
    grid.encode(rotated.weight, grid.fit({.weight = rotated.weight}));
  });
  Solution solution;
  const double start = used();
  solution = gptq.solve(rotated, {}, grid);
  stages.print("compensation: the solver's rest", used() - start - factor - search);
  solution.basis.rotation = 0;
  Stored stored;
  stages.time("packing, and decoding what is stored", [&] { stored = grid.store("l", solution); });
  stages.time("report: error in the outputs", [&] {
    energy(layer.weight, layer.stats.hessian);
    energy(layer.weight - stored.decoded, layer.stats.hessian);
  });
  return 0;
}
