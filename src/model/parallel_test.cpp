// The same bits with any number of threads.
#include "model/parallel.h"

#include <dlfcn.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <future>
#include <memory>
#include <numeric>
#include <thread>

#include "core/threads.h"
#include "karat/error.h"
#include "karat/graph.h"
#include "model/testing.h"
#include "model/threads.h"

using namespace karat;

namespace {

/// What `compute` returns on 1, 2 and 3 threads must agree bit by bit; returns it.
std::vector<torch::Tensor> same_bits(const std::function<std::vector<torch::Tensor>()>& compute) {
  const int before = thread_count();
  std::vector<std::vector<torch::Tensor>> results;
  for (const int threads : {1, 2, 3}) {
    set_torch_threads(threads);
    const ThreadScope scope(threads);
    const SerialTorch serial;
    results.push_back(compute());
  }
  set_torch_threads(before);
  for (std::size_t i = 0; i < results[0].size(); ++i) {
    CAPTURE(i);
    CHECK(results[0][i].equal(results[1][i]));
    CHECK(results[0][i].equal(results[2][i]));
  }
  return results[0];
}

Architecture odd_llama() {
  Architecture arch;
  arch.vocab = 333, arch.hidden = 72, arch.ffn = 203;
  arch.heads = 6, arch.kv_heads = 3, arch.head_dim = 12;
  arch.ropes = {{{1.0f, 0.4f, 0.2f, 0.1f, 0.05f, 0.01f}}};
  arch.final_norm = {"norm", arch.hidden};
  arch.head = "head";
  Block block;
  block.rope = 0;
  block.attention.norm = {"norm1", arch.hidden};
  block.mlp.norm = {"norm2", arch.hidden};
  block.attention.q = {"q", 72, 72};
  block.attention.k = {"k", 36, 72};
  block.attention.v = {"v", 36, 72};
  block.attention.o = {"o", 72, 72};
  block.mlp.gate = {"gate", 203, 72};
  block.mlp.up = {"up", 203, 72};
  block.mlp.down = {"down", 72, 203};
  arch.blocks.push_back(block);
  return arch;
}

Weights random_weights(const Architecture& arch) {
  Weights weights;
  for (const Linear* linear : arch.blocks[0].linears())
    weights[linear->name + ".weight"] = torch::randn({linear->out, linear->in}) * 0.1;
  weights["head"] = torch::randn({arch.vocab, arch.hidden});
  for (const char* norm : {"norm", "norm1", "norm2"})
    weights[std::string(norm) + ".weight"] = torch::rand({arch.hidden}) + 0.5;
  for (auto& [name, tensor] : weights) tensor.requires_grad_();
  return weights;
}

}  // namespace

TEST_CASE("products have the same bits on any number of threads, and the right values") {
  torch::manual_seed(1);
  for (const auto& [rows, inner, columns] : std::vector<std::array<std::int64_t, 3>>{
           {172, 511, 64}, {64, 700, 333}, {1023, 333, 257}, {256, 1024, 256}, {3, 4, 5}}) {
    CAPTURE(rows);
    const auto a = torch::randn({rows, inner}), b = torch::randn({columns, inner});
    const auto start = torch::randn({rows, columns});
    const auto got = same_bits([&] {
      auto sum = start.clone();
      add_product(sum, a, b.t(), 0.5);
      return std::vector{product(a, b.t()), sum};
    });
    const auto wanted = torch::mm(a.to(torch::kFloat64), b.t().to(torch::kFloat64));
    CHECK(relative_error(got[0].to(torch::kFloat64), wanted) < 1e-6);
    CHECK(relative_error(got[1].to(torch::kFloat64), start.to(torch::kFloat64) + wanted / 2) <
          1e-6);
  }
}

TEST_CASE("Gram matrices are added to by their upper triangles") {
  torch::manual_seed(1);
  for (const std::int64_t n : {5, 64, 65, 300, 1023}) {
    CAPTURE(n);
    const auto x = torch::randn({77, n}), y = torch::randn({5, n});
    const auto got = same_bits([&] {
      auto sum = torch::zeros({n, n});
      add_gram(sum, x);
      mirror(sum);
      add_gram(sum, y);
      mirror(sum);
      return std::vector{sum};
    });
    const auto both = torch::cat({x, y}).to(torch::kFloat64);
    CHECK(relative_error(got[0].to(torch::kFloat64), both.t().mm(both)) < 1e-6);
    CHECK(torch::equal(got[0], got[0].t()));
  }
}

TEST_CASE("a block and the head have the same bits on any number of threads") {
  torch::manual_seed(2);
  const auto arch = odd_llama();
  const auto weights = random_weights(arch);
  const auto x = torch::randn({1, 301, arch.hidden}).requires_grad_();
  const auto ids = torch::randint(arch.vocab, {1, 301}, torch::kInt64);
  std::vector<torch::Tensor> leaves{x};
  for (const auto& [name, tensor] : weights) leaves.push_back(tensor);
  same_bits([&] {
    const auto loss = next_token_loss(arch, weights, block_forward(arch, 0, weights, x), ids);
    auto gradients = torch::autograd::grad({loss}, leaves);
    gradients.push_back(loss.detach());
    return gradients;
  });
}

TEST_CASE(
    "of scopes in two threads the first sets LibTorch's threads and the last sets them back") {
  const int before = at::get_num_threads();
  set_torch_threads(3);
  const auto of_blas = [] {  // 0: of a BLAS that is not OpenBLAS
    void* symbol = ::dlsym(RTLD_DEFAULT, "openblas_get_num_threads");
    return symbol ? reinterpret_cast<int (*)()>(symbol)() : 0;
  };
  const auto counts_in_pool = [] {
    std::vector<int> counts(8);
    parallel_for(8, 1, [&](auto begin, auto) {
      const SerialTorch nested;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // so that every thread has one
      counts[static_cast<std::size_t>(begin)] = at::get_num_threads();
    });
    return counts;
  };
  const int blas = of_blas();
  const std::vector<int> ones(8, 1);
  const ThreadScope threads(3);
  auto first = std::make_unique<SerialTorch>();
  CHECK(at::get_num_threads() == 1);
  std::promise<void> entered, left;
  std::thread other([&] {
    const ThreadScope of_its_own(3);
    {
      const SerialTorch second;
      const int size = thread_count();
      CHECK(size == 3);
      entered.set_value();
      left.get_future().wait();
      CHECK(at::get_num_threads() == 1);
      CHECK(of_blas() == std::min(blas, 1));
      CHECK(counts_in_pool() == ones);
    }
    CHECK(at::get_num_threads() == 3);
    CHECK(of_blas() == blas);
  });
  entered.get_future().wait();
  CHECK(counts_in_pool() == ones);
  first.reset();
  CHECK(at::get_num_threads() == 3);  // of this thread
  CHECK(of_blas() == std::min(blas, 1));
  left.set_value();
  other.join();
  CHECK(of_blas() == blas);
  set_torch_threads(before);
}

TEST_CASE("rows are covered once, and an error in a piece comes out") {
  std::vector<int> seen(103);
  parallel_rows(103, 10, torch::kCPU, [&](std::int64_t first, std::int64_t rows) {
    CHECK(rows <= 10);
    for (auto i = first; i < first + rows; ++i) ++seen[static_cast<std::size_t>(i)];
  });
  CHECK(std::accumulate(seen.begin(), seen.end(), 0) == 103);
  CHECK(std::ranges::count(seen, 1) == 103);
  CHECK_THROWS_AS(parallel_indices(4, torch::kCPU,
                                   [](std::int64_t i) {
                                     if (i == 2) fail("a", "b", "c");
                                   }),
                  Error);
}
