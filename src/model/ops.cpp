#include "model/ops.h"

#include "karat/error.h"

namespace karat {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

const torch::Tensor& weight(const Weights& weights, const std::string& name) {
  const auto found = weights.find(name);
  if (found == weights.end()) fail("model graph", "no tensor " + name, "the weights of its block");
  return found->second;
}

torch::Tensor row_mean(const torch::Tensor& x) {
  return x.mean(-1, /*keepdim=*/true);
}

/// x / √(mean x² + eps) · weight (Zhang and Sennrich 2019); keeps x and one number a row.
struct RmsNorm : Function<RmsNorm> {
  static torch::Tensor forward(AutogradContext* ctx, torch::Tensor x, torch::Tensor weight,
                               double eps) {
    const auto inverse = row_mean(x * x).add_(eps).rsqrt_();
    ctx->save_for_backward({x, weight, inverse});
    return (x * inverse).mul_(weight);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &inverse = saved[2];
    const auto unit = x * inverse;
    torch::Tensor grad_weight;
    if (ctx->needs_input_grad(1)) {
      grad_weight = (grads[0] * unit).reshape({-1, weight.size(0)}).sum(0);
    }
    auto grad_unit = grads[0] * weight;
    const auto along = row_mean(grad_unit * unit);
    return {grad_unit.addcmul_(unit, along, -1).mul_(inverse), grad_weight, torch::Tensor()};
  }
};

torch::Tensor turned(const torch::Tensor& x, const torch::Tensor& cosine, const torch::Tensor& sine,
                     double direction) {
  const auto half = x.size(-1) / 2;
  const auto low = x.narrow(-1, 0, half), high = x.narrow(-1, half, half);
  auto out = torch::empty(x.sizes(), x.options());
  auto out_low = out.narrow(-1, 0, half), out_high = out.narrow(-1, half, half);
  torch::mul_out(out_low, low, cosine).addcmul_(high, sine, -direction);
  torch::mul_out(out_high, high, cosine).addcmul_(low, sine, direction);
  return out;
}

/// A rotation's gradient is the rotation by the opposite angle.
struct Rotate : Function<Rotate> {
  static torch::Tensor forward(AutogradContext* ctx, torch::Tensor x, torch::Tensor cosine,
                               torch::Tensor sine) {
    ctx->saved_data["cosine"] = cosine;
    ctx->saved_data["sine"] = sine;
    return turned(x, cosine, sine, 1);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    return {turned(grads[0], ctx->saved_data["cosine"].toTensor(),
                   ctx->saved_data["sine"].toTensor(), -1),
            torch::Tensor(), torch::Tensor()};
  }
};

const char* approximation(Activation activation) {
  return activation == Activation::gelu_tanh ? "tanh" : "none";
}

/// grad · act'(x).
torch::Tensor activate_backward(Activation activation, const torch::Tensor& grad,
                                const torch::Tensor& x) {
  if (activation == Activation::silu) return at::silu_backward(grad, x);
  return at::gelu_backward(grad, x, approximation(activation));
}

struct Gated : Function<Gated> {
  static torch::Tensor forward(AutogradContext* ctx, torch::Tensor gate, torch::Tensor up,
                               std::int64_t activation) {
    ctx->save_for_backward({gate, up});
    ctx->saved_data["activation"] = activation;
    return activate(static_cast<Activation>(activation), gate).mul_(up);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto activation = static_cast<Activation>(ctx->saved_data["activation"].toInt());
    auto grad_up = activate(activation, saved[0]).mul_(grads[0]);
    return {activate_backward(activation, grads[0] * saved[1], saved[0]), grad_up, torch::Tensor()};
  }
};

}  // namespace

torch::Tensor normalize(const Norm& norm, const Weights& weights, const torch::Tensor& x) {
  const auto wide = x.to(torch::promote_types(x.scalar_type(), torch::kFloat32));
  const auto scale = weight(weights, norm.name + ".weight").to(wide.scalar_type());
  if (norm.kind == Norm::Kind::rms)
    return RmsNorm::apply(wide, scale, norm.eps).to(x.scalar_type());
  const auto shift = weight(weights, norm.name + ".bias").to(wide.scalar_type());
  return torch::layer_norm(wide, {x.size(-1)}, scale, shift, norm.eps).to(x.scalar_type());
}

torch::Tensor project(const Linear& linear, const Weights& weights, const torch::Tensor& x) {
  const auto& matrix = weight(weights, linear.name + ".weight");
  if (!linear.bias) return torch::mm(x, matrix.t());
  return torch::addmm(weight(weights, linear.name + ".bias"), x, matrix.t());
}

Rotation rotation(const Rope& rope, std::int64_t time, const torch::TensorOptions& options) {
  const auto wide = options.dtype(
      torch::promote_types(torch::typeMetaToScalarType(options.dtype()), torch::kFloat32));
  const auto frequencies = torch::tensor(rope.frequencies).to(wide.device(), wide.dtype());
  const auto angles = torch::arange(time, wide).unsqueeze(1) * frequencies;
  return {angles.cos().unsqueeze(1).to(options.dtype()),
          angles.sin().unsqueeze(1).to(options.dtype())};
}

torch::Tensor rotate(const torch::Tensor& x, const Rotation& angles) {
  return Rotate::apply(x, angles.cosine, angles.sine);
}

torch::Tensor activate(Activation activation, const torch::Tensor& x) {
  if (activation == Activation::silu) return torch::silu(x);
  return torch::gelu(x, approximation(activation));
}

torch::Tensor activate_gated(Activation activation, const torch::Tensor& gate,
                             const torch::Tensor& up) {
  return Gated::apply(gate, up, static_cast<std::int64_t>(activation));
}

}  // namespace karat
