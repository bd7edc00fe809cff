// The straight way from a model's weights w to their quantization ŵ, and the loss along it.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "pipeline/steps.h"

namespace karat {

/// Replaces the weights of a block's linear layers by ŵ.
using DecodeBlock = std::function<void(std::size_t block, Weights& weights)>;
DecodeBlock decoder(const BlockStore& blocks);  // which must outlive it

/// w + at · (ŵ − w), `at` from 0 to 1.
struct Segment {
  DecodeBlock quantized;
  std::optional<std::size_t> only = {};  // the block that moves alone; the others stay at w
};

/// Several sweeps shown as one stage.
class Stage {
 public:
  Stage(std::string name, std::size_t sweeps, ProgressFn listener)
      : name_(std::move(name)), sweeps_(sweeps), listener_(std::move(listener)) {}
  ProgressFn next();  // for the sweep that comes

 private:
  bool report(std::size_t sweep, const ProgressEvent& event) const;
  std::string name_;
  std::size_t sweeps_, begun_ = 0;
  ProgressFn listener_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

struct Slope {
  double loss = 0;
  std::vector<double> blocks;  // of each, Σ ∂L/∂w · (ŵ − w); the sum is d loss / d at
  double total() const;
};
using GradientVisitor =
    std::function<void(const std::string& layer, const torch::Tensor& gradient)>;
/// One sweep with gradients.
Slope slope_at(const Source& model, const Segment& segment, const CalibrationSet& text, double at,
               const GradientVisitor& visit, const ProgressFn& progress);

/// The loss in double precision: differences of it may be small.
double loss_at(const Source& model, const Segment& segment, const CalibrationSet& text, double at,
               const ProgressFn& progress);

/// ½ΔᵀHΔ at w, Δ = ŵ − w: the second difference of the loss over `step` to both sides, two sweeps
/// forward. `start` is the loss at w. Exact up to step² times a fourth derivative: a Hessian-vector
/// product without a graph that can be differentiated twice.
inline constexpr double kSecondStep = 1e-3;
double second_order(const Source& model, const Segment& segment, const CalibrationSet& text,
                    double start, Stage& stage, double step = kSecondStep);

/// Σ of the signed scores of PQI, gradient · (ŵ − w), over all layers: what they say ΔL is.
double signed_total(const Source& model, const DecodeBlock& quantized, const Carried& gradients);

}  // namespace karat
