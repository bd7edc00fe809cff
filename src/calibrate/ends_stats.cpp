#include "calibrate/ends_stats.h"

namespace karat {
namespace {

constexpr std::int64_t kRows = 4096;  // squared at a time

/// Σ xy over each row, [rows] F64.
torch::Tensor row_products(const torch::Tensor& x, const torch::Tensor& y) {
  std::vector<torch::Tensor> parts;
  for (std::int64_t begin = 0; begin < x.size(0); begin += kRows) {
    const std::int64_t count = std::min(kRows, x.size(0) - begin);
    parts.push_back((x.narrow(0, begin, count) * y.narrow(0, begin, count))
                        .sum(1, /*keepdim=*/false, torch::kFloat64));
  }
  return torch::cat(parts);
}

}  // namespace

EndsStats::EndsStats(const Architecture& arch, const torch::Tensor& ids) : arch_(arch) {
  for (std::int64_t s = 0; s < ids.size(0); ++s) {
    Sequence& sequence = sequences_.emplace_back();
    std::tie(sequence.ids, sequence.places, std::ignore) =
        torch::_unique2(ids[s].to(torch::kInt64), /*sorted=*/true, /*return_inverse=*/true);
  }
  embedding_ = torch::zeros({arch.vocab}, torch::kFloat64);
  head_ = embedding_.clone();
  if (arch.tied()) tied_ = embedding_.clone();
}

void EndsStats::see_head(std::int64_t sequence, const torch::Tensor& gradient) {
  Sequence& seen = sequences_.at(static_cast<std::size_t>(sequence));
  const torch::Tensor squares = row_products(gradient, gradient);
  head_ += squares;
  if (!arch_.tied()) return;
  tied_ += squares;
  seen.head = gradient.index_select(0, seen.ids);
}

void EndsStats::see_inputs(const std::vector<torch::Tensor>& gradients) {
  for (std::size_t s = 0; s < gradients.size(); ++s) {
    const auto& [ids, places, head] = sequences_[s];
    torch::Tensor rows = torch::zeros({ids.size(0), arch_.hidden});
    rows.index_add_(0, places, gradients[s].flatten(0, 1).to(torch::kFloat32));
    if (arch_.embedding_scale != 1) rows *= arch_.embedding_scale;
    const torch::Tensor squares = row_products(rows, rows);
    embedding_.index_add_(0, ids, squares);
    if (head.defined()) tied_.index_add_(0, ids, squares + 2 * row_products(head, rows));
  }
}

EndsFisher EndsStats::finish() const {
  const auto mean = [&](const torch::Tensor& sum) {
    return sum.defined() ? (sum / static_cast<double>(sequences_.size())).to(torch::kFloat32) : sum;
  };
  return {.embedding = mean(embedding_), .head = mean(head_), .tied = mean(tied_)};
}

}  // namespace karat
