#include "scaling/law.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace karat {
namespace {

constexpr double kHuber = 1e-3;
using Row = std::vector<double>;

struct Terms {
  double size = 0, data = 0, constant = 0;
  double sum() const { return size + data + constant; }
};

double log_efficiency(const LawShape& shape, const LawParameters& p, const LawPoint& point) {
  return point.kind == 0 ? 0 : p[shape.first_kind() + point.kind - 1];
}

Terms terms_of(const LawShape& shape, const LawParameters& p, const LawPoint& point) {
  Terms terms;
  terms.size = std::exp(p[0] - p[1] * (point.log_size + log_efficiency(shape, p, point)));
  if (shape.data) terms.data = std::exp(p[2] - p[3] * point.log_tokens);
  terms.constant =
      shape.floor ? *shape.floor : std::exp(p[shape.first_constant() + point.constant]);
  return terms;
}

/// Derivatives of log L.
Row slopes(const LawShape& shape, const LawParameters& p, const LawPoint& point) {
  const Terms terms = terms_of(shape, p, point);
  Row row(shape.parameters(), 0.0);
  row[0] = terms.size;
  row[1] = -terms.size * (point.log_size + log_efficiency(shape, p, point));
  if (shape.data) {
    row[2] = terms.data;
    row[3] = -terms.data * point.log_tokens;
  }
  if (!shape.floor) row[shape.first_constant() + point.constant] = terms.constant;
  if (point.kind > 0) row[shape.first_kind() + point.kind - 1] = -p[1] * terms.size;
  for (double& slope : row) slope /= terms.sum();
  return row;
}

double residual(const LawShape& shape, const LawParameters& p, const LawPoint& point) {
  return std::log(predicted_loss(shape, p, point) / point.loss);
}

double huber_error(const LawShape& shape, const LawParameters& p,
                   const std::vector<LawPoint>& points) {
  double sum = 0;
  for (const LawPoint& point : points) {
    const double r = std::abs(residual(shape, p, point));
    sum += r <= kHuber ? 0.5 * r * r : kHuber * (r - 0.5 * kHuber);
  }
  return std::isfinite(sum) ? sum : HUGE_VAL;
}

/// The lower triangle L of L Lᵀ in the place of that of m [n, n]; false where m is not definite.
bool factor(std::vector<Row>& m) {
  for (std::size_t j = 0; j < m.size(); ++j)
    for (std::size_t i = j; i < m.size(); ++i) {
      double sum = m[i][j];
      for (std::size_t k = 0; k < j; ++k) sum -= m[i][k] * m[j][k];
      if (i == j && !(sum > 0)) return false;
      m[i][j] = i == j ? std::sqrt(sum) : sum / m[j][j];
    }
  return true;
}

/// x of L Lᵀ x = b.
Row solved(const std::vector<Row>& l, Row b) {
  for (std::size_t i = 0; i < b.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= l[i][k] * b[k];
    b[i] /= l[i][i];
  }
  for (std::size_t i = b.size(); i-- > 0;) {
    for (std::size_t k = i + 1; k < b.size(); ++k) b[i] -= l[k][i] * b[k];
    b[i] /= l[i][i];
  }
  return b;
}

/// JᵀW J and JᵀW r of the residuals.
struct Normal {
  std::vector<Row> matrix;
  Row right;
};
Normal normal_equations(const LawShape& shape, const std::vector<LawPoint>& points,
                        const LawParameters& p, bool weighted) {
  const std::size_t n = shape.parameters();
  Normal normal{std::vector<Row>(n, Row(n, 0.0)), Row(n, 0.0)};
  for (const LawPoint& point : points) {
    const Row row = slopes(shape, p, point);
    const double r = residual(shape, p, point);
    const double weight = weighted ? std::min(1.0, kHuber / (std::abs(r) + 1e-300)) : 1;
    for (std::size_t i = 0; i < n; ++i) {
      normal.right[i] += weight * row[i] * r;
      for (std::size_t k = 0; k < n; ++k) normal.matrix[i][k] += weight * row[i] * row[k];
    }
  }
  return normal;
}

/// One step of damping `damping`; empty where there is none.
LawParameters stepped(const Normal& normal, const LawParameters& p, double damping) {
  std::vector<Row> damped = normal.matrix;
  for (std::size_t i = 0; i < damped.size(); ++i) damped[i][i] += damping * (damped[i][i] + 1e-12);
  if (!factor(damped)) return {};
  const Row move = solved(damped, normal.right);
  LawParameters next = p;
  for (std::size_t i = 0; i < next.size(); ++i) next[i] -= std::clamp(move[i], -2.0, 2.0);
  next[1] = std::max(next[1], 1e-3);
  return next;
}

}  // namespace

std::size_t LawShape::parameters() const {
  return first_kind() + kinds - 1;
}

std::string LawShape::name(std::size_t parameter) const {
  constexpr const char* kNames[] = {"a", "b", "c", "d"};
  if (parameter < first_constant()) return kNames[parameter];
  if (parameter < first_kind()) return "e";
  return fmt::format("eff of quantizer {}", parameter - first_kind() + 1);
}

double predicted_loss(const LawShape& shape, const LawParameters& p, const LawPoint& point) {
  return terms_of(shape, p, point).sum();
}

LawFit descend_law(const LawShape& shape, const std::vector<LawPoint>& points,
                   const LawParameters& start) {
  LawFit fit{start, huber_error(shape, start, points)};
  double damping = 1e-2;
  for (int i = 0; i < 400 && damping < 1e12; ++i) {
    const Normal normal = normal_equations(shape, points, fit.parameters, /*weighted=*/true);
    const LawParameters next = stepped(normal, fit.parameters, damping);
    const double error = next.empty() ? HUGE_VAL : huber_error(shape, next, points);
    if (error < fit.error) {
      const bool done = fit.error - error < 1e-14 * fit.error;
      fit = {next, error};
      damping = std::max(damping / 4, 1e-12);
      if (done) break;
    } else {
      damping *= 5;
    }
  }
  return fit;
}

std::vector<std::size_t> undetermined(const LawShape& shape, const std::vector<LawPoint>& points,
                                      const LawParameters& p) {
  constexpr double kShare = 1e-9;  // of a parameter's slopes that those before it do not explain
  std::vector<Row> m = normal_equations(shape, points, p, /*weighted=*/false).matrix;
  Row scale;
  for (std::size_t i = 0; i < m.size(); ++i) scale.push_back(std::sqrt(m[i][i]) + 1e-300);
  std::vector<std::size_t> found;
  for (std::size_t j = 0; j < m.size(); ++j) {
    for (std::size_t i = j; i < m.size(); ++i) {
      m[i][j] /= scale[i] * scale[j];
      for (std::size_t k = 0; k < j; ++k) m[i][j] -= m[i][k] * m[j][k];
    }
    const bool open = m[j][j] < kShare;
    if (open) found.push_back(j);
    const double root = std::sqrt(std::max(m[j][j], kShare));
    for (std::size_t i = j; i < m.size(); ++i) m[i][j] = open ? 0 : m[i][j] / root;
  }
  return found;
}

}  // namespace karat
