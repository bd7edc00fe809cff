#include "model/ops.h"

#include "karat/error.h"
#include "model/parallel.h"

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

/// x / √(mean x² + eps) · weight (Zhang and Sennrich 2019) of rows; keeps x and one number a row.
struct RmsNorm : Function<RmsNorm> {
  static torch::Tensor forward(AutogradContext* ctx, torch::Tensor x, torch::Tensor weight,
                               double eps) {
    auto y = torch::empty(x.sizes(), x.options()),
         inverse = torch::empty({x.size(0), 1}, x.options());
    parallel_rows(x.size(0), cached_rows(x.size(1)), x.device(), [&](auto first, auto rows) {
      const auto in = x.narrow(0, first, rows);
      auto out = y.narrow(0, first, rows), scale = inverse.narrow(0, first, rows);
      torch::mul_out(out, in, in);
      scale.copy_(row_mean(out).add_(eps).rsqrt_());
      torch::mul_out(out, in, scale).mul_(weight);
    });
    ctx->save_for_backward({x, weight, inverse});
    return y;
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &inverse = saved[2];
    const auto grad = grads[0].contiguous();
    const bool with_weight = ctx->needs_input_grad(1);
    const auto piece = cached_rows(x.size(1));
    auto grad_x = torch::empty(x.sizes(), x.options());
    auto parts = torch::zeros({(x.size(0) + piece - 1) / piece, x.size(1)}, x.options());
    parallel_rows(x.size(0), piece, x.device(), [&](auto first, auto rows) {
      const auto scale = inverse.narrow(0, first, rows), above = grad.narrow(0, first, rows);
      const auto unit = x.narrow(0, first, rows) * scale;
      if (with_weight) parts[first / piece].copy_((above * unit).sum(0));
      auto out = grad_x.narrow(0, first, rows);
      torch::mul_out(out, above, weight);
      out.addcmul_(unit, row_mean(out * unit), -1).mul_(scale);
    });
    return {grad_x, with_weight ? parts.sum(0) : torch::Tensor(), torch::Tensor()};
  }
};

/// The first (0) or second (1) values, `count` of them, of all pairs that are rotated.
torch::Tensor of_pairs(const torch::Tensor& x, std::int64_t which, std::int64_t count,
                       bool interleaved) {
  return interleaved ? x.slice(-1, which, 2 * count, 2) : x.narrow(-1, which * count, count);
}

void rotate_into(torch::Tensor out, const torch::Tensor& x, const RopeAngles& angles,
                 double direction) {
  const auto& [cosine, sine, interleaved] = angles;
  const auto count = cosine.size(-1), rest = x.size(-1) - 2 * count;
  const auto low = of_pairs(x, 0, count, interleaved), high = of_pairs(x, 1, count, interleaved);
  auto out_low = of_pairs(out, 0, count, interleaved);
  auto out_high = of_pairs(out, 1, count, interleaved);
  torch::mul_out(out_low, low, cosine).addcmul_(high, sine, -direction);
  torch::mul_out(out_high, high, cosine).addcmul_(low, sine, direction);
  if (rest > 0) out.narrow(-1, 2 * count, rest).copy_(x.narrow(-1, 2 * count, rest));
}

/// x [batch, time, heads, head_dim], by pieces of time.
torch::Tensor rotated(const torch::Tensor& x, const RopeAngles& angles, double direction) {
  auto out = torch::empty(x.sizes(), x.options());
  const auto piece = cached_rows(x.size(2) * x.size(3));
  parallel_rows(x.size(1), piece, x.device(), [&](auto first, auto count) {
    rotate_into(out.narrow(1, first, count), x.narrow(1, first, count),
                {angles.cosine.narrow(0, first, count), angles.sine.narrow(0, first, count),
                 angles.interleaved},
                direction);
  });
  return out;
}

/// A rotation's gradient is the rotation by the opposite angle, scaled alike.
struct Rotate : Function<Rotate> {
  static torch::Tensor forward(AutogradContext* ctx, torch::Tensor x, torch::Tensor cosine,
                               torch::Tensor sine, bool interleaved) {
    ctx->saved_data["cosine"] = cosine;
    ctx->saved_data["sine"] = sine;
    ctx->saved_data["interleaved"] = interleaved;
    return rotated(x, {cosine, sine, interleaved}, 1);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    return {rotated(grads[0],
                    {ctx->saved_data["cosine"].toTensor(), ctx->saved_data["sine"].toTensor(),
                     ctx->saved_data["interleaved"].toBool()},
                    -1),
            torch::Tensor(), torch::Tensor(), torch::Tensor()};
  }
};

/// x Wᵀ.
struct Project : Function<Project> {
  static torch::Tensor forward(AutogradContext* ctx, torch::Tensor x, torch::Tensor matrix) {
    ctx->save_for_backward({x, matrix});
    return product(x, matrix.t());
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    variable_list out(2);
    if (ctx->needs_input_grad(0)) out[0] = product(grads[0], saved[1]);
    if (ctx->needs_input_grad(1)) out[1] = product(grads[0].t(), saved[0]);
    return out;
  }
};

const char* approximation(Activation activation) {
  return activation == Activation::gelu_tanh ? "tanh" : "none";
}

torch::Tensor activated(Activation activation, const torch::Tensor& x) {
  if (activation == Activation::silu) return torch::silu(x);
  if (activation == Activation::relu) return torch::relu(x);
  if (activation == Activation::relu2) return torch::relu(x).square();
  return torch::gelu(x, approximation(activation));
}

/// grad · act'(x).
torch::Tensor activated_backward(Activation activation, const torch::Tensor& grad,
                                 const torch::Tensor& x) {
  if (activation == Activation::silu) return at::silu_backward(grad, x);
  if (activation == Activation::relu) return at::threshold_backward(grad, x, 0);
  if (activation == Activation::relu2) return grad * torch::relu(x) * 2;
  return at::gelu_backward(grad, x, approximation(activation));
}

struct Activate : Function<Activate> {
  static torch::Tensor forward(AutogradContext* ctx, torch::Tensor x, std::int64_t activation) {
    ctx->save_for_backward({x});
    ctx->saved_data["activation"] = activation;
    auto out = torch::empty(x.sizes(), x.options());
    parallel_rows(x.size(0), cached_rows(x.size(1)), x.device(), [&](auto first, auto rows) {
      out.narrow(0, first, rows)
          .copy_(activated(static_cast<Activation>(activation), x.narrow(0, first, rows)));
    });
    return out;
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto x = ctx->get_saved_variables()[0];
    const auto activation = static_cast<Activation>(ctx->saved_data["activation"].toInt());
    auto out = torch::empty(x.sizes(), x.options());
    parallel_rows(x.size(0), cached_rows(x.size(1)), x.device(), [&](auto first, auto rows) {
      out.narrow(0, first, rows)
          .copy_(activated_backward(activation, grads[0].narrow(0, first, rows),
                                    x.narrow(0, first, rows)));
    });
    return {out, torch::Tensor()};
  }
};

struct Gated : Function<Gated> {
  static torch::Tensor forward(AutogradContext* ctx, torch::Tensor gate, torch::Tensor up,
                               std::int64_t activation) {
    ctx->save_for_backward({gate, up});
    ctx->saved_data["activation"] = activation;
    auto out = torch::empty(gate.sizes(), gate.options());
    parallel_rows(
        gate.size(0), cached_rows(gate.size(1)), gate.device(), [&](auto first, auto rows) {
          auto part = out.narrow(0, first, rows);
          torch::mul_out(
              part, activated(static_cast<Activation>(activation), gate.narrow(0, first, rows)),
              up.narrow(0, first, rows));
        });
    return out;
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto activation = static_cast<Activation>(ctx->saved_data["activation"].toInt());
    auto grad_gate = torch::empty(saved[0].sizes(), saved[0].options());
    auto grad_up = torch::empty(saved[1].sizes(), saved[1].options());
    const auto piece = cached_rows(saved[0].size(1));
    parallel_rows(saved[0].size(0), piece, saved[0].device(), [&](auto first, auto rows) {
      const auto grad = grads[0].narrow(0, first, rows), gate = saved[0].narrow(0, first, rows);
      auto part = grad_up.narrow(0, first, rows);
      torch::mul_out(part, activated(activation, gate), grad);
      grad_gate.narrow(0, first, rows)
          .copy_(activated_backward(activation, grad * saved[1].narrow(0, first, rows), gate));
    });
    return {grad_gate, grad_up, torch::Tensor()};
  }
};

}  // namespace

torch::Tensor normalize(const Norm& norm, const Weights& weights, const torch::Tensor& x) {
  const auto wide = x.to(torch::promote_types(x.scalar_type(), torch::kFloat32));
  const auto rows = wide.reshape({-1, norm.size});
  auto scale = weight(weights, norm.name + ".weight").to(wide.scalar_type());
  if (norm.offset != 0) scale = scale + norm.offset;
  torch::Tensor shift;
  if (norm.has_bias()) shift = weight(weights, norm.name + ".bias").to(wide.scalar_type());
  const bool own = norm.rows > 1;  // multiplied afterwards
  const auto one = own ? torch::ones({norm.size}, wide.options()) : scale;
  auto y = norm.centred()
               ? torch::layer_norm(rows, {norm.size}, one, own ? torch::Tensor() : shift, norm.eps)
               : RmsNorm::apply(rows, one, norm.eps);
  if (own) y = y.view({-1, norm.rows, norm.size}) * scale;
  if (own && shift.defined()) y = y + shift;
  return y.view(x.sizes()).to(x.scalar_type());
}

torch::Tensor project(const Linear& linear, const Weights& weights, const torch::Tensor& x) {
  return project(linear, weights, weight(weights, linear.name + ".weight"), x);
}

torch::Tensor project(const Linear& linear, const Weights& weights, const torch::Tensor& matrix,
                      const torch::Tensor& x) {
  const auto y = Project::apply(x, matrix);
  return linear.bias ? y + weight(weights, linear.name + ".bias") : y;
}

torch::Tensor score(const Router& router, const Weights& weights, const torch::Tensor& x) {
  return Project::apply(x, weight(weights, router.name + ".weight"));
}

RopeAngles rope_angles(const Rope& rope, std::int64_t time, const torch::TensorOptions& options) {
  const auto wide = options.dtype(
      torch::promote_types(torch::typeMetaToScalarType(options.dtype()), torch::kFloat32));
  const auto frequencies = torch::tensor(rope.frequencies).to(wide.device(), wide.dtype());
  // Angles as float32, as transformers has them; cos and sin of them correctly rounded.
  const auto angles = (torch::arange(time, wide).unsqueeze(1) * frequencies).to(torch::kFloat64);
  return {angles.cos().mul_(rope.factor).unsqueeze(1).to(options.dtype()),
          angles.sin().mul_(rope.factor).unsqueeze(1).to(options.dtype()), rope.interleaved};
}

torch::Tensor rotate(const torch::Tensor& x, const RopeAngles& angles) {
  return Rotate::apply(x, angles.cosine, angles.sine, angles.interleaved);
}

torch::Tensor activate(Activation activation, const torch::Tensor& x) {
  return Activate::apply(x, static_cast<std::int64_t>(activation));
}

torch::Tensor activate_gated(Activation activation, const torch::Tensor& gate,
                             const torch::Tensor& up) {
  return Gated::apply(gate, up, static_cast<std::int64_t>(activation));
}

}  // namespace karat
