#include <doctest/doctest.h>

#include "karat/axes.h"
#include "karat/error.h"

namespace karat {
Selector columns_selector(Options& options);
}  // namespace karat
using namespace karat;

namespace {

torch::Tensor chosen(const torch::Tensor& scores, const std::string& text) {
  Options options("selector columns", text);
  const Selector selector = columns_selector(options);
  options.finish();
  return selector.choose({{.worth = scores}})[0];
}

}  // namespace

TEST_CASE("columns keeps the whole columns of largest sum") {
  // Sums 6, 9, 9, 1: the largest single score is in none of the two chosen.
  const torch::Tensor scores = torch::tensor({{6.0f, 4.0f, 5.0f, 1.0f}, {0.0f, 5.0f, 4.0f, 0.0f}});
  const std::vector<std::int64_t> expected = {1, 2, 5, 6};
  CHECK(torch::equal(chosen(scores, "0.5"), torch::tensor(expected)));
  const std::vector<std::int64_t> first = {1, 5};  // of equal sums the lower index
  CHECK(torch::equal(chosen(scores, "0.49"), torch::tensor(first)));
  CHECK(chosen(scores, "0.24").numel() == 0);
  CHECK(chosen(scores, "1").numel() == 8);
  CHECK_THROWS_AS(chosen(scores, "1.5"), Error);
}

TEST_CASE("each matrix has its own columns, a share of its own inputs") {
  Options options("selector columns", "0.1");
  const Selector selector = columns_selector(options);
  CHECK(!selector.whole_model);
  const auto found =
      selector.choose({{.worth = torch::rand({3, 30})}, {.worth = torch::rand({5, 59})}});
  CHECK(found[0].numel() == 3 * 3);
  CHECK(found[1].numel() == 5 * 5);
}
