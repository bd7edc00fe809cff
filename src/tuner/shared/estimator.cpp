#include "tuner/shared/estimator.h"

#include <ATen/ExpandUtils.h>
#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "core/rotation.h"
#include "core/threads.h"
#include "karat/error.h"

namespace karat {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

/// The gradient of what was broadcast from `sizes`.
torch::Tensor summed(const torch::Tensor& gradient, c10::IntArrayRef sizes) {
  return at::sum_to(gradient, sizes);
}

struct RoundThrough : Function<RoundThrough> {
  static torch::Tensor forward(AutogradContext*, torch::Tensor v) { return v.round(); }
  static variable_list backward(AutogradContext*, variable_list grads) { return {grads[0]}; }
};

struct Clip : Function<Clip> {
  static torch::Tensor forward(AutogradContext* ctx, torch::Tensor v, torch::Tensor low,
                               torch::Tensor high) {
    ctx->save_for_backward({v, low, high});
    return torch::min(torch::max(v, low), high);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &v = saved[0], &low = saved[1], &high = saved[2];
    const auto below = (v < low).to(v.scalar_type()), above = (v > high).to(v.scalar_type());
    return {grads[0] * (1 - below - above), summed(grads[0] * below, low.sizes()),
            summed(grads[0] * above, high.sizes())};
  }
};

struct PassWhere : Function<PassWhere> {
  static torch::Tensor forward(AutogradContext* ctx, torch::Tensor, torch::Tensor value,
                               torch::Tensor mask) {
    ctx->save_for_backward({mask});
    return value.view_as(value);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto mask = ctx->get_saved_variables()[0];
    return {mask.numel() == 0 ? grads[0] : grads[0] * mask, torch::Tensor(), torch::Tensor()};
  }
};

void keep(AutogradContext* ctx, const LevelRange& levels) {
  ctx->saved_data["low"] = levels.low;
  ctx->saved_data["high"] = levels.high;
  ctx->saved_data["with_zero"] = levels.with_zero;
}
LevelRange kept(AutogradContext* ctx) {
  return {ctx->saved_data["low"].toDouble(), ctx->saved_data["high"].toDouble(),
          ctx->saved_data["with_zero"].toBool()};
}

struct Lsq : Function<Lsq> {
  static torch::Tensor forward(AutogradContext* ctx, torch::Tensor v, torch::Tensor step,
                               const LevelRange& levels) {
    ctx->save_for_backward({v, step});
    keep(ctx, levels);
    return nearest_levels(v / step, levels).mul_(step);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &v = saved[0], &step = saved[1];
    const LevelRange levels = kept(ctx);
    const auto r = v / step;
    const auto inside = ((r > levels.bottom()) & (r < levels.top())).to(v.scalar_type());
    const auto sharers = static_cast<double>(v.numel()) / static_cast<double>(step.numel());
    const auto slope = nearest_levels(r, levels).sub_(r * inside);
    return {grads[0] * inside,
            summed(grads[0] * slope, step.sizes()).div_(std::sqrt(sharers * levels.top())),
            torch::Tensor()};
  }
};

struct Pact : Function<Pact> {
  static torch::Tensor forward(AutogradContext* ctx, torch::Tensor v, torch::Tensor step,
                               const LevelRange& levels) {
    ctx->save_for_backward({v, step});
    keep(ctx, levels);
    return nearest_levels(v / step, levels).mul_(step);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &v = saved[0], &step = saved[1];
    const double top = kept(ctx).top();
    const auto clipped = (v.abs() >= step * top).to(v.scalar_type());
    return {grads[0] * (1 - clipped), summed(grads[0] * v.sign() * clipped, step.sizes()).mul_(top),
            torch::Tensor()};
  }
};

struct FakeUniform : Function<FakeUniform> {
  static torch::Tensor forward(AutogradContext* ctx, torch::Tensor v, torch::Tensor scale,
                               torch::Tensor zero, double low, double high) {
    ctx->save_for_backward({v, scale, zero});
    ctx->saved_data["low"] = low;
    ctx->saved_data["high"] = high;
    return (v / scale + zero).round_().clamp_(low, high).sub_(zero).mul_(scale);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &v = saved[0], &scale = saved[1], &zero = saved[2];
    const double low = ctx->saved_data["low"].toDouble(), high = ctx->saved_data["high"].toDouble();
    const auto r = v / scale, place = r + zero;
    const auto inside = ((place >= low) & (place <= high)).to(v.scalar_type());
    const auto slope = place.round().clamp_(low, high).sub_(zero).sub_(r * inside);
    return {grads[0] * inside, summed(grads[0] * slope, scale.sizes()),
            summed(grads[0] * scale * (inside - 1), zero.sizes()), torch::Tensor(),
            torch::Tensor()};
  }
};

torch::Tensor transformed(const torch::Tensor& x, std::int64_t block) {
  if (!x.is_cpu() || x.scalar_type() != torch::kFloat32) {
    const auto h = hadamard_matrix(block).to(x.options());
    return x.reshape({-1, block}).matmul(h).view(x.sizes());
  }
  const auto factor = 1 / std::sqrt(static_cast<float>(block));
  auto out = x.contiguous() * factor;
  auto* values = out.data_ptr<float>();
  const std::int64_t grain = std::max<std::int64_t>(1, (std::int64_t{1} << 15) / block);
  parallel_for(out.numel() / block, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) walsh_hadamard(values + i * block, block);
  });
  return out;
}

struct BlockHadamard : Function<BlockHadamard> {
  static torch::Tensor forward(AutogradContext* ctx, torch::Tensor x, std::int64_t block) {
    ctx->saved_data["block"] = block;
    return transformed(x, block);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    return {transformed(grads[0], ctx->saved_data["block"].toInt()), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor round_ste(const torch::Tensor& v) {
  return RoundThrough::apply(v);
}

torch::Tensor clip_between(const torch::Tensor& v, const torch::Tensor& low,
                           const torch::Tensor& high) {
  return Clip::apply(v, low, high);
}

torch::Tensor pass_where(const torch::Tensor& v, const torch::Tensor& value,
                         const torch::Tensor& mask) {
  return PassWhere::apply(v, value, mask.defined() ? mask : torch::empty({0}, torch::kBool));
}

LevelRange signed_levels(std::int64_t bits, bool with_zero) {
  if (bits < 1 || bits > 16 || (with_zero && bits == 1))
    fail("quantizer levels", fmt::format("{} bits", bits),
         with_zero ? "2 to 16 bits beside a zero" : "1 to 16 bits");
  const double half = std::ldexp(1.0, static_cast<int>(bits) - 1);
  return {-half, half - 1, with_zero};
}

torch::Tensor nearest_levels(const torch::Tensor& r, const LevelRange& levels) {
  if (levels.with_zero) return r.round().clamp_(levels.low, levels.high);
  return r.floor().clamp_(levels.low, levels.high).add_(0.5);
}

torch::Tensor lsq(const torch::Tensor& v, const torch::Tensor& step, const LevelRange& levels) {
  return Lsq::apply(v, step, levels);
}

torch::Tensor pact(const torch::Tensor& v, const torch::Tensor& step, const LevelRange& levels) {
  return Pact::apply(v, step, levels);
}

torch::Tensor fake_uniform(const torch::Tensor& v, const torch::Tensor& scale,
                           const torch::Tensor& zero, double low, double high) {
  return FakeUniform::apply(v, scale, zero, low, high);
}

torch::Tensor block_hadamard(const torch::Tensor& x, std::int64_t block) {
  if (block < 1 || !std::has_single_bit(static_cast<std::uint64_t>(block)) ||
      x.size(-1) % block != 0)
    fail("block Hadamard", fmt::format("blocks of {} in rows of {}", block, x.size(-1)),
         "a power of two that divides the row length");
  return BlockHadamard::apply(x, block);
}

torch::Tensor hadamard_matrix(std::int64_t block) {
  auto h = torch::empty({block, block}, torch::kFloat64);
  auto* values = h.data_ptr<double>();
  const double entry = 1 / std::sqrt(static_cast<double>(block));
  for (std::int64_t i = 0; i < block; ++i)
    for (std::int64_t k = 0; k < block; ++k)
      values[i * block + k] = std::popcount(static_cast<std::uint64_t>(i & k)) % 2 ? -entry : entry;
  return h;
}

}  // namespace karat
