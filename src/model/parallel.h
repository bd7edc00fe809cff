// LibTorch work on the cores of the CPU, cut by index: results do not depend on how many threads
// there are. LibTorch itself and OpenBLAS cut by thread, and round differently with each count.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "core/threads.h"
#include "karat/torch.h"

namespace karat {

/// LibTorch and its BLAS run on the calling thread alone while this lives, in the whole process:
/// the counts are theirs. Of those that live at once, in whichever threads, the first sets the
/// counts and the last sets them back. Our own pool keeps its size: the calling thread works with
/// new threads. Does nothing inside another one, also in a thread of that one's pool.
class SerialTorch {
 public:
  SerialTorch();
  ~SerialTorch();
  SerialTorch(const SerialTorch&) = delete;
  SerialTorch& operator=(const SerialTorch&) = delete;

 private:
  std::optional<ThreadScope> threads_;  // empty inside another one
  const Pool* pool_ = nullptr;          // of these threads
};

/// Calls body(0) … body(count − 1), without recording a graph. On the CPU they run on our pool, and
/// LibTorch and the BLAS stay on one thread inside; elsewhere they run in order.
void parallel_indices(std::int64_t count, torch::Device device,
                      const std::function<void(std::int64_t)>& body);

/// The same for ranges of rows, body(first, rows), `piece` rows at a time; on a device other than
/// the CPU all rows at once.
void parallel_rows(std::int64_t rows, std::int64_t piece, torch::Device device,
                   const std::function<void(std::int64_t, std::int64_t)>& body);

/// Rows of `width` elements that a core's cache holds with a few temporaries.
std::int64_t cached_rows(std::int64_t width);

/// a b, for matrices.
torch::Tensor product(const torch::Tensor& a, const torch::Tensor& b);
/// out += factor · a b.
void add_product(torch::Tensor out, const torch::Tensor& a, const torch::Tensor& b,
                 double factor = 1);
/// out += xᵀ x in the upper triangle of `out` [n, n], for x [tokens, n]; what is below it is only
/// right after mirror(), which may wait until all is added.
void add_gram(torch::Tensor out, const torch::Tensor& x);
/// The same of xᵀ y, known to be symmetric.
void add_gram(torch::Tensor out, const torch::Tensor& x, const torch::Tensor& y);
/// Makes `out` [n, n] symmetric: the upper triangle counts.
void mirror(torch::Tensor out);

}  // namespace karat
