// Weights from a mapped checkpoint: up-cast one block at a time, checked for NaN and Inf as they
// come.
#include <algorithm>
#include <numeric>

#include "karat/error.h"
#include "karat/graph.h"
#include "model/parallel.h"

namespace karat {
namespace {

torch::Dtype torch_dtype(const TensorView& view) {
  switch (view.dtype) {
    case DType::f64:
      return torch::kFloat64;
    case DType::f32:
      return torch::kFloat32;
    case DType::f16:
      return torch::kFloat16;
    case DType::bf16:
      return torch::kBFloat16;
    case DType::i64:
      return torch::kInt64;
    case DType::i32:
      return torch::kInt32;
    case DType::i16:
      return torch::kInt16;
    case DType::i8:
      return torch::kInt8;
    case DType::u8:
      return torch::kUInt8;
    case DType::boolean:
      return torch::kBool;
    default:
      fail("map tensor " + view.name, std::string(view.type()), "a LibTorch type");
  }
}

/// The weights of a tensor of a GGUF type.
torch::Tensor decoded(const TensorView& view) {
  auto tensor = torch::empty(view.shape, torch::dtype(torch::kFloat32));
  const std::int64_t row = view.numel() / view.shape[0];
  parallel_rows(view.shape[0], cached_rows(row), torch::kCPU,
                [&](std::int64_t first, std::int64_t count) {
                  const std::vector<float> some = to_floats(rows_of(view, first, count));
                  std::ranges::copy(some, tensor.data_ptr<float>() + first * row);
                });
  return tensor;
}

/// The elements of `mapped` in `dtype`, and their sum: finite unless an element is not, or it
/// overflows.
torch::Tensor convert(const torch::Tensor& mapped, torch::Dtype dtype, double& sum) {
  auto tensor = torch::empty(mapped.sizes(), torch::dtype(dtype));
  const auto rows = mapped.size(0),
             piece = cached_rows(mapped.numel() / std::max<std::int64_t>(rows, 1));
  std::vector<double> sums(static_cast<std::size_t>((rows + piece - 1) / piece));
  parallel_rows(rows, piece, torch::kCPU, [&](std::int64_t first, std::int64_t count) {
    const auto part = tensor.narrow(0, first, count).copy_(mapped.narrow(0, first, count));
    sums[static_cast<std::size_t>(first / piece)] = part.sum().item<double>();
  });
  sum = std::accumulate(sums.begin(), sums.end(), 0.0);
  return tensor;
}

void check_finite(const std::string& name, const torch::Tensor& tensor, double sum) {
  if (std::isfinite(sum)) return;  // settles it without another pass
  const auto bad = tensor.numel() - torch::isfinite(tensor).sum().item<std::int64_t>();
  if (bad > 0)
    fail("load " + name, std::to_string(bad) + " values that are NaN or infinite", "finite weights",
         "the checkpoint is damaged");
}

class Loader {
 public:
  Loader(const Safetensors& file, torch::Device device, torch::Dtype dtype)
      : file_(file), device_(device), dtype_(dtype) {}

  void add(const std::string& name, bool transposed = false) {
    auto mapped = map_tensor(file_.get(name));
    if (transposed) mapped = mapped.t();
    double sum = 0;
    const auto tensor = convert(mapped, dtype_, sum);
    check_finite(name, tensor, sum);
    weights_[name] = tensor.to(device_);
  }
  void add(const Norm& norm) {
    add(norm.name + ".weight");
    if (norm.has_bias()) add(norm.name + ".bias");
  }
  void add(const Linear& linear) {
    add(linear.name + ".weight", linear.transposed);
    if (linear.bias) add(linear.name + ".bias");
  }
  void add(const Router& router) { add(router.name + ".weight"); }
  Weights take() { return std::move(weights_); }

 private:
  const Safetensors& file_;
  torch::Device device_;
  torch::Dtype dtype_;
  Weights weights_;
};

}  // namespace

torch::Tensor map_tensor(const TensorView& view) {
  if (view.dtype == DType::block) return decoded(view);
  // LibTorch has no tensor of constant data; nobody writes to this one.
  auto* data = const_cast<std::byte*>(view.data);
  return torch::from_blob(data, view.shape, torch::dtype(torch_dtype(view)));
}

Weights load_block(const Architecture& arch, const Safetensors& file, std::size_t index,
                   torch::Device device, torch::Dtype dtype) {
  Loader loader(file, device, dtype);
  visit_parts([&](Role, const auto& part) { loader.add(part); }, arch.blocks.at(index));
  return loader.take();
}

Weights load_ends(const Architecture& arch, const Safetensors& file, torch::Device device,
                  torch::Dtype dtype) {
  Loader loader(file, device, dtype);
  loader.add(arch.embedding);
  if (!arch.positions.empty()) loader.add(arch.positions);
  loader.add(arch.final_norm);
  if (!arch.tied()) loader.add(arch.head);
  if (!arch.head_bias.empty()) loader.add(arch.head_bias);
  return loader.take();
}

Weights load_head(const Architecture& arch, const Safetensors& file, torch::Device device,
                  torch::Dtype dtype) {
  Loader loader(file, device, dtype);
  loader.add(arch.final_norm);
  loader.add(arch.head);
  if (!arch.head_bias.empty()) loader.add(arch.head_bias);
  return loader.take();
}

}  // namespace karat
