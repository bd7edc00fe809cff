// selector top: the floor(ratio·count) dearest weights stay at FP16, exactly that many, ties going
// to the lower index. GWQ keeps 1 % of each matrix; scope may also be the row or the whole model.
#include <algorithm>
#include <numeric>

#include "karat/recipe.h"

namespace karat {
namespace {

using Indices = std::vector<std::int64_t>;

// 0.29 · 100 is 28.999… in binary; a share that misses a whole number by rounding is meant whole.
std::int64_t share(double ratio, std::int64_t count) {
  return static_cast<std::int64_t>(ratio * static_cast<double>(count) * (1 + 1e-12));
}

/// The `count` best of scores[0, size): offset + index each, ascending.
void append_top(const float* scores, std::int64_t size, std::int64_t count, std::int64_t offset,
                Indices& result) {
  Indices order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  std::nth_element(order.begin(), order.begin() + count, order.end(), [&](auto a, auto b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  });
  order.resize(static_cast<std::size_t>(count));
  std::sort(order.begin(), order.end());
  for (const std::int64_t index : order) result.push_back(offset + index);
}

torch::Tensor as_tensor(const Indices& indices) {
  return torch::tensor(indices, torch::kInt64);
}

torch::Tensor top_of_rows(const torch::Tensor& scores, double ratio, std::int64_t rows) {
  const torch::Tensor flat = scores.to(torch::kCPU).to(torch::kFloat32).contiguous();
  const std::int64_t width = flat.numel() / rows;
  Indices result;
  for (std::int64_t row = 0; row < rows; ++row)
    append_top(flat.data_ptr<float>() + row * width, width, share(ratio, width), row * width,
               result);
  return as_tensor(result);
}

std::vector<torch::Tensor> top_of_all(const std::vector<torch::Tensor>& scores, double ratio) {
  std::vector<torch::Tensor> flat;
  for (const torch::Tensor& one : scores) flat.push_back(one.flatten());
  const torch::Tensor best = top_of_rows(torch::cat(flat), ratio, 1);
  const std::int64_t* next = best.data_ptr<std::int64_t>();
  const std::int64_t* end = next + best.numel();
  std::vector<torch::Tensor> result;
  for (std::int64_t offset = 0; const torch::Tensor& one : flat) {
    Indices indices;
    for (; next != end && *next < offset + one.numel(); ++next) indices.push_back(*next - offset);
    result.push_back(as_tensor(indices));
    offset += one.numel();
  }
  return result;
}

}  // namespace

Selector top_selector(Options& options) {
  const double ratio = options.number("ratio", 0.01, 0, 1, "share of weights kept at FP16");
  const std::string scope = options.choice("scope", "matrix", {"matrix", "row", "model"},
                                           "the share is taken of each matrix, row, or all");
  Selector selector{.whole_model = scope == "model"};
  selector.choose = [ratio, scope](const std::vector<torch::Tensor>& scores) {
    if (scope == "model") return top_of_all(scores, ratio);
    std::vector<torch::Tensor> result;
    for (const torch::Tensor& one : scores)
      result.push_back(top_of_rows(one, ratio, scope == "row" ? one.size(0) : 1));
    return result;
  };
  return selector;
}

}  // namespace karat
