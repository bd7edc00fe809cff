#include "grid/shared/refit_tables.h"

#include <doctest/doctest.h>

#include "grid/shared/pair_sums.h"

using namespace karat;

namespace {

struct Case {
  Slab slab;
  torch::Tensor pull, codes, tables;
};
Case random_case(std::int64_t rows, std::int64_t n, std::int64_t size, bool with_kept) {
  torch::manual_seed(rows * n + size);
  const torch::Tensor x = torch::randn({2 * n, n}).matmul(torch::randn({n, n}));
  Case made{.slab = {.weight = torch::randn({rows, n}) * 0.1,
                     .gram = x.t().matmul(x) / static_cast<double>(2 * n)},
            .pull = torch::randn({rows, n}) * 0.1,
            .codes = torch::randint(size, {rows, n}).to(torch::kUInt8),
            .tables = std::get<0>((torch::randn({rows, size}) * 0.1).sort(1))};
  made.tables = made.tables.to(torch::kFloat16).to(torch::kFloat32);
  if (with_kept) made.slab.kept = torch::rand({rows, n}) < 0.2;
  return made;
}

torch::Tensor error_of(const Case& some) {
  const torch::Tensor error =
      some.tables.gather(1, some.codes.to(torch::kInt64)) - some.slab.weight;
  const torch::Tensor counted =
      some.slab.kept.defined() ? error.masked_fill(some.slab.kept, 0) : error;
  return counted.to(torch::kFloat64);
}
/// What the error pulls at each weight, that of other groups included.
torch::Tensor slope_of(const Case& some) {
  return error_of(some).matmul(some.slab.gram.to(torch::kFloat64)) + some.pull;
}
void refit(Case& some) {
  refit_tables(some.slab, slope_of(some).to(torch::kFloat32), some.codes, some.tables);
}
/// Σ e·gram·e + 2 e·pull of each row.
torch::Tensor objective(const Case& some) {
  const torch::Tensor e = error_of(some);
  return (e * (e.matmul(some.slab.gram.to(torch::kFloat64)) + 2 * some.pull)).sum(1);
}

}  // namespace

TEST_CASE("a Gram matrix summed over pairs of codes") {
  for (const std::int64_t size : {4, 8, 16})
    for (const std::int64_t n : {5, 256, 300, 700}) {  // a block of inputs or several, cut or not
      const Case some = random_case(19, n, size, false);
      const torch::Tensor codes = torch::randint(size + 1, {19, n}).to(torch::kUInt8);
      const torch::Tensor p =
          torch::one_hot(codes.to(torch::kInt64), size + 1).slice(2, 0, size).to(torch::kFloat64);
      const torch::Tensor wanted =
          p.transpose(1, 2).matmul(some.slab.gram.to(torch::kFloat64)).matmul(p);
      const torch::Tensor got = pair_sums(some.slab.gram, codes, size);
      CHECK(torch::equal(got, got.transpose(1, 2)));
      CHECK((got - wanted).norm().item<double>() < 1e-6 * wanted.norm().item<double>());
    }
}

TEST_CASE("tables are the least squares solution of each row") {
  for (const std::int64_t size : {4, 16})
    for (const bool with_kept : {false, true}) {
      Case now = random_case(9, 40, size, with_kept);
      const Case before = now;
      refit(now);
      CHECK((objective(now) < objective(before)).all().item<bool>());
      CHECK(torch::equal(now.tables, now.tables.to(torch::kFloat16).to(torch::kFloat32)));
      CHECK(torch::equal(now.tables, std::get<0>(now.tables.sort(1))));
      // At the least, no value would rather be elsewhere: the way to its own minimum is as short as
      // rounding to FP16 allows.
      const torch::Tensor slope = slope_of(now);
      for (std::int64_t row = 0; row < 9; ++row) {
        torch::Tensor p =
            torch::one_hot(now.codes[row].to(torch::kInt64), size).to(torch::kFloat64);
        if (with_kept) p.masked_fill_(now.slab.kept[row].unsqueeze(1), 0);
        const torch::Tensor curvature = p.t().matmul(now.slab.gram.to(torch::kFloat64)).matmul(p);
        const torch::Tensor step = torch::linalg_pinv(curvature).matmul(p.t().matmul(slope[row]));
        CHECK(step.abs().max().item<double>() < 2e-3);
        CHECK((error_of(before)[row].abs().max().item<double>()) > 2e-2);
      }
    }
}

TEST_CASE("renumbered codes stand for the same weights; a value without codes stays") {
  Case now = random_case(3, 12, 4, false);
  now.codes.masked_fill_(now.codes == 2, 1);
  const torch::Tensor idle = now.tables.select(1, 2).clone();
  const Case before = now;
  refit(now);
  for (std::int64_t row = 0; row < 3; ++row) {
    CHECK((now.tables[row] == idle[row]).any().item<bool>());
    for (std::int64_t i = 0; i < 12; ++i)
      for (std::int64_t k = 0; k < 12; ++k)
        CHECK((before.codes[row][i] == before.codes[row][k]).item<bool>() ==
              (now.codes[row][i] == now.codes[row][k]).item<bool>());
  }
}

TEST_CASE("a row that cannot gain keeps its table") {
  Case now = random_case(2, 12, 4, false);
  now.slab.weight = now.tables.gather(1, now.codes.to(torch::kInt64));
  now.pull.zero_();
  const Case before = now;
  refit(now);
  CHECK(torch::equal(now.tables, before.tables));
  CHECK(torch::equal(now.codes, before.codes));
}
