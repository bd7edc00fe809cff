// Speed of what is done to every weight of a layer: grids and their fits, selectors, transforms,
// solvers. One core's nanoseconds per weight on random layers, and what a 2048 x 8192 layer takes.
// Usage: bench_fits [PART of a name]     (only the rows whose name holds it)
#include <fmt/format.h>
#include <time.h>

#include <functional>
#include <string>

#include "core/threads.h"
#include "karat/axes.h"
#include "model/parallel.h"

namespace karat {
// Written by cmake/registry.cmake.
const std::map<std::string, Grid (*)(Options&)>& grid_table();
const std::map<std::string, Selector (*)(Options&)>& selector_table();
const std::map<std::string, Transform (*)(Options&)>& transform_table();
const std::map<std::string, Solver (*)(Options&)>& solver_table();
}  // namespace karat
using namespace karat;

namespace {

template <class Value>
Value made(const std::map<std::string, Value (*)(Options&)>& table, const std::string& text) {
  const auto colon = text.find(':');
  const std::string name = text.substr(0, colon);
  Options options(name, colon == std::string::npos ? "" : text.substr(colon + 1));
  Value value = table.at(name)(options);
  options.finish();
  return value;
}

/// Weights of deviation 0.02, inputs that share eight factors, gradients of log-normal size.
Layer random_layer(std::int64_t out, std::int64_t in) {
  torch::manual_seed(0);
  Layer layer{.name = "layer", .weight = torch::randn({out, in}) * 0.02};
  const torch::Tensor size = (torch::randn({in}) * 0.5).exp();
  const torch::Tensor x =
      (torch::randn({4096, 8}).matmul(torch::randn({8, in})) * 0.7 + torch::randn({4096, in})) *
      size;
  layer.stats.hessian = x.t().matmul(x) * (2.0 / 4096);
  layer.stats.input_abs = x.abs().mean(0);
  layer.stats.input_square = x.square().mean(0);
  layer.stats.fisher = torch::randn({out, in}).exp() * layer.stats.input_square * 1e-6;
  return layer;
}

/// This thread's seconds: what other processes do counts less.
double now() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

struct Table {
  std::string part;
  void row(const std::string& name, const Layer& layer, const std::function<void()>& call) const {
    if (name.find(part) == std::string::npos) return;
    const double start = now();
    call();
    const double each = (now() - start) / static_cast<double>(layer.weight.numel());
    fmt::print("{:72} {:5} x {:<5} {:9.1f} {:9.2f}\n", name, layer.weight.size(0),
               layer.weight.size(1), each * 1e9, each * 2048 * 8192);
    std::fflush(stdout);
  }
};

void solve_rows(const Table& table, const Layer& layer, const std::string& solver,
                std::initializer_list<const char*> grids) {
  const Solver solves = made(solver_table(), solver);
  for (const std::string text : grids) {
    const Grid grid = made(grid_table(), text);
    table.row(solver + " " + text, layer, [&] { solves.solve(layer, {}, grid); });
  }
}

void other_rows(const Table& table, const Layer& layer) {
  for (const char* text : {"uniform:bits=3,group=16,bilevel=1",
                           "uniform:bits=3,group=16,bilevel=1,fit=mse,cost=fisher",
                           "uniform:bits=3,group=128,fit=mse,cost=fisher"}) {
    const Grid grid = made(grid_table(), text);
    const Selector saving = made(selector_table(), "saving:0.01");
    table.row(std::string("saving ") + text, layer,
              [&] { saving.worth(layer, layer.stats.fisher, grid); });
  }
  for (const char* text :
       {"uniform:bits=4,group=128", "uniform:bits=4,group=128,fit=mse,cost=activation,rounds=0",
        "nf4:group=128,fit=daq"}) {
    const Grid grid = made(grid_table(), text);
    const Transform scale = made(transform_table(), "scale");
    table.row(std::string("scale ") + text, layer, [&] { scale.fit(layer, {}, grid); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  const torch::NoGradGuard no_grad;
  const SerialTorch serial;
  const ThreadScope scope(1);
  const Table table{argc > 1 ? argv[1] : ""};
  fmt::print("{:72} {:13} {:>9} {:>9}\n", "", "layer", "ns/weight", "s");
  const Layer layer = random_layer(1024, 2048), few = random_layer(64, 2048);
  solve_rows(
      table, layer, "nearest",
      {"uniform:bits=3,group=16", "uniform:bits=3,group=16,bilevel=1", "uniform:bits=3,group=128",
       "nf4:group=128", "uniform:bits=3,group=16,fit=mse", "uniform:bits=3,group=128,fit=mse",
       "nf4:group=128,fit=mse", "uniform:bits=3,group=16,bilevel=1,fit=mse,cost=fisher",
       "uniform:bits=3,group=128,fit=hqq", "uniform:bits=4,group=64,fit=hqq",
       "uniform:bits=3,group=16,fit=gaussian", "nf4:group=128,fit=gaussian",
       "lut:bits=3,cost=fisher", "lut:bits=4,cost=fisher", "lut:bits=3,group=128"});
  solve_rows(table, few, "nearest",
             {"nf4:group=128,fit=daq,epochs=0", "nf4:group=128,fit=daq", "nf4:group=16,fit=daq",
              "uniform:bits=3,group=128,fit=daq", "nf4:group=0,fit=daq,epochs=1",
              "trellis:bits=3,code=1mad12", "trellis:bits=3",
              "column-trellis:bits=3"});
  const Layer wide = random_layer(64, 8192);
  solve_rows(table, wide, "nearest", {"lut:bits=3,cost=fisher", "lut:bits=4,cost=fisher"});
  other_rows(table, layer);
  solve_rows(table, layer, "gptq",
             {"uniform:bits=3,group=16,bilevel=1", "uniform:bits=4,group=128",
              "uniform:bits=3,group=16,bilevel=1,fit=mse,cost=fisher"});
  return 0;
}
