#include "karat/ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "karat/error.h"
#include "karat/progress.h"
#include "ranks/group.h"

namespace karat {
namespace {

thread_local Ranks* innermost = nullptr;

}  // namespace

Ranks::Ranks() = default;

Ranks::Ranks(const RanksOptions& options) {
  if (options.size < 1 || options.rank < 0 || options.rank >= options.size)
    fail("ranks", fmt::format("rank {} of {}", options.rank, options.size),
         "a rank from 0 to size - 1", "RANK and WORLD_SIZE say them");
  rank_ = options.rank;
  size_ = options.size;
  if (options.size > 1) group_ = join_ranks(options);
}

Ranks::~Ranks() = default;

std::vector<torch::Tensor> Ranks::exchange(const std::vector<torch::Tensor>& to) {
  if (alone()) return to;
  return group_->exchange(to);
}

std::vector<std::string> Ranks::gather(const std::string& mine) {
  if (alone()) return {mine};
  auto* data = const_cast<char*>(mine.data());  // only read
  const torch::Tensor bytes =
      torch::from_blob(data, {static_cast<std::int64_t>(mine.size())}, torch::kUInt8);
  const std::vector<torch::Tensor> to(static_cast<std::size_t>(size()), bytes);
  std::vector<std::string> all;
  for (const torch::Tensor& one : exchange(to))
    all.emplace_back(reinterpret_cast<const char*>(one.data_ptr<std::uint8_t>()),
                     static_cast<std::size_t>(one.numel()));
  return all;
}

void Ranks::agree(std::string_view what, const std::string& mine) {
  const std::vector<std::string> all = gather(mine);
  for (std::size_t rank = 1; rank < all.size(); ++rank)
    if (all[rank] != all[0])
      fail("ranks", fmt::format("another {} on rank {} than on rank 0", what, rank),
           "the same on all", "start all of them with the same command, files and version");
}

std::int64_t Ranks::least(std::int64_t mine) {
  std::int64_t result = mine;
  for (const std::string& one : gather(std::to_string(mine)))
    result = std::min<std::int64_t>(result, std::stoll(one));
  return result;
}

RanksTraffic Ranks::traffic() const {
  return group_ ? group_->traffic() : RanksTraffic{};
}

Ranks& Ranks::current() {
  static thread_local Ranks alone;
  return innermost != nullptr ? *innermost : alone;
}

void Ranks::share(const std::function<void()>& body) {
  struct Current {
    explicit Current(Ranks* ranks) : before(std::exchange(innermost, ranks)) {}
    ~Current() { innermost = before; }
    Ranks* before;
  } current(this);
  const auto leave = [&](const std::string& why) {
    if (group_) group_->leave(why);
  };
  try {
    body();
  } catch (const std::exception& error) {
    leave(error.what());
    throw;
  } catch (const Interrupted&) {
    leave("interrupted");
    throw;
  }
  leave("");
}

torch::Tensor bytes_of(const torch::Tensor& tensor) {
  return tensor.contiguous().view({-1}).view(torch::kUInt8);
}

torch::Tensor tensor_in(const torch::Tensor& bytes, std::int64_t& offset, torch::IntArrayRef sizes,
                        torch::Dtype dtype) {
  const std::int64_t length =
      c10::multiply_integers(sizes) * static_cast<std::int64_t>(torch::elementSize(dtype));
  if (offset + length > bytes.numel())
    fail("ranks", fmt::format("{} bytes of another rank", bytes.numel()),
         fmt::format("at least {}", offset + length), "are all ranks of one version?");
  torch::Tensor result = torch::empty(sizes, dtype);
  bytes_of(result).copy_(bytes.narrow(0, offset, length));
  offset += length;
  return result;
}

}  // namespace karat
