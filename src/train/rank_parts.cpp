#include "train/rank_parts.h"

#include <algorithm>

#include "core/file.h"
#include "core/output.h"
#include "karat/error.h"

namespace karat {
namespace {

/// Numbers in a row that a rank adds up.
struct Share {
  std::int64_t first, count;
};
Share share_of(std::int64_t numbers, const Ranks& ranks, std::int64_t rank) {
  const std::int64_t first = numbers * rank / ranks.size();
  return {first, numbers * (rank + 1) / ranks.size() - first};
}

torch::Tensor flat(const Weights& gradients) {
  std::vector<torch::Tensor> rows;
  for (const auto& [name, gradient] : gradients) rows.push_back(gradient.reshape({-1}));
  return torch::cat(rows);
}

/// Tensors of the leaves' shapes from their numbers in a row.
Weights shaped(const torch::Tensor& numbers, const Weights& leaves) {
  Weights result;
  std::int64_t offset = 0;
  for (const auto& [name, leaf] : leaves) {
    result[name] = numbers.narrow(0, offset, leaf.numel()).view(leaf.sizes());
    offset += leaf.numel();
  }
  return result;
}

/// Bytes of tensors one after the other; of none, none.
torch::Tensor joined(const std::vector<torch::Tensor>& tensors) {
  std::vector<torch::Tensor> bytes{torch::empty({0}, torch::kUInt8)};
  for (const torch::Tensor& tensor : tensors) bytes.push_back(bytes_of(tensor));
  return torch::cat(bytes);
}

/// The same bytes for every rank.
std::vector<torch::Tensor> to_all(const Ranks& ranks, const torch::Tensor& bytes) {
  return std::vector<torch::Tensor>(static_cast<std::size_t>(ranks.size()), bytes);
}

/// This rank's share of the sum. from[r] has that share of each part of rank r.
torch::Tensor add_in_order(const std::vector<torch::Tensor>& from, std::int64_t count,
                           std::int64_t parts) {
  const auto ranks = static_cast<std::int64_t>(from.size());
  std::vector<std::int64_t> offsets(from.size());
  torch::Tensor sum;
  for (std::int64_t i = 0; i < parts; ++i) {
    const auto rank = static_cast<std::size_t>(i % ranks);
    const torch::Tensor part = tensor_in(from[rank], offsets[rank], {count}, torch::kFloat32);
    sum = sum.defined() ? sum.add_(part) : part;
  }
  return sum;
}

}  // namespace

std::vector<double> values_of_all(Ranks& ranks, const std::vector<double>& own,
                                  std::int64_t parts) {
  if (ranks.alone()) return own;
  const auto from = ranks.exchange(to_all(ranks, bytes_of(torch::tensor(own, torch::kFloat64))));
  std::vector<std::int64_t> offsets(from.size());
  std::vector<double> values;
  for (std::int64_t i = 0; i < parts; ++i) {
    const auto rank = static_cast<std::size_t>(i % ranks.size());
    values.push_back(tensor_in(from[rank], offsets[rank], {1}, torch::kFloat64).item<double>());
  }
  return values;
}

LossAndGradients sum_of_all(Ranks& ranks, const std::vector<LossAndGradients>& own,
                            const Weights& leaves, std::int64_t parts) {
  const torch::NoGradGuard no_grad;
  std::vector<double> losses;
  std::vector<torch::Tensor> rows;
  for (const LossAndGradients& part : own) {
    losses.push_back(part.loss);
    rows.push_back(flat(part.gradients));
  }
  std::int64_t numbers = 0;
  for (const auto& [name, leaf] : leaves) numbers += leaf.numel();
  std::vector<torch::Tensor> to;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    const Share share = share_of(numbers, ranks, rank);
    std::vector<torch::Tensor> pieces;
    for (const torch::Tensor& row : rows) pieces.push_back(row.narrow(0, share.first, share.count));
    to.push_back(joined(pieces));
  }
  const Share mine = share_of(numbers, ranks, ranks.rank());
  const torch::Tensor sum = add_in_order(ranks.exchange(to), mine.count, parts);
  const torch::Tensor all = torch::cat(ranks.exchange(to_all(ranks, bytes_of(sum))));
  LossAndGradients result{0, {}};
  for (const double loss : values_of_all(ranks, losses, parts)) result.loss += loss;
  std::int64_t offset = 0;
  result.gradients = shaped(tensor_in(all, offset, {numbers}, torch::kFloat32), leaves);
  return result;
}

void copy_of_first(Ranks& ranks, const std::filesystem::path& file) {
  if (ranks.alone()) return;
  const std::string bytes = ranks.gather(ranks.first() ? read_text(file) : "").front();
  if (ranks.first()) return;
  AtomicFile copy(file);
  write_file(copy.path(), bytes);
  copy.commit();
}

}  // namespace karat
