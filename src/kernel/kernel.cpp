// Which kernels run here, and the cut of a product over threads.
#include "kernel/kernel.h"

#include <algorithm>

#include "core/threads.h"
#include "format/parts.h"
#include "kernel/cpu/sets.h"
#include "kernel/turned.h"

namespace karat {
namespace {

/// Rows per piece of work: about 2^17 multiplications, some 10 µs, so that cutting costs little and
/// the last piece is short. A multiple of the 32 rows that kernels read together.
std::int64_t row_grain(std::int64_t in, std::int64_t tokens) {
  const std::int64_t row = std::max<std::int64_t>(in * tokens, 1);
  return std::max<std::int64_t>((std::int64_t{1} << 17) / row / 32, 1) * 32;
}

/// x ∘ input_scales, in a buffer of this thread's that lasts until its next call.
const float* scaled(const MatrixView& matrix, const float* x, std::int64_t tokens) {
  thread_local std::vector<float> buffer;
  buffer.resize(static_cast<std::size_t>(tokens * matrix.in));
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t i = 0; i < matrix.in; ++i)
      buffer[t * matrix.in + i] = x[t * matrix.in + i] * matrix.input_scales[i];
  return buffer.data();
}

/// xᵀ, with room for whole 32s of tokens.
void transpose(const float* x, std::int64_t in, std::int64_t tokens, KernelInput& input,
               std::vector<float>& buffer) {
  constexpr std::int64_t kTile = 32;
  const std::int64_t stride = (tokens + kTile - 1) / kTile * kTile;
  buffer.assign(static_cast<std::size_t>(in * stride), 0);
  float* to = buffer.data();
  parallel_for(in, kTile, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t0 = 0; t0 < tokens; t0 += kTile)
      for (std::int64_t i = begin; i < end; ++i)
        for (std::int64_t t = t0; t < std::min(t0 + kTile, tokens); ++t)
          to[i * stride + t] = x[t * in + i];
  });
  input.transposed = to;
  input.transposed_stride = stride;
}

/// x as 8-bit integers, in buffers that last until the thread's next call.
class Rounded {
 public:
  Int8Input round(const KernelSet& set, const MatrixView& m, const float* x, std::int64_t tokens) {
    const std::int64_t blocks = (m.in + kInt8Block - 1) / kInt8Block;
    const std::int64_t stride = (blocks * (kInt8Block / int8_unit(m)) + 7) / 8 * 8;
    values_.resize(static_cast<std::size_t>(tokens * blocks));
    scales_.resize(static_cast<std::size_t>((tokens * blocks + 1) * kInt8Scales));  // eight more
    sums_.assign(static_cast<std::size_t>(tokens * stride), 0);
    const Int8Input input{blocks, stride, values_.data()->values, scales_.data(), sums_.data()};
    parallel_for(tokens, kTokenGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t)
        set.round_input(m, x + t * m.in, values_[static_cast<std::size_t>(t * blocks)].values,
                        &scales_[static_cast<std::size_t>(t * blocks * kInt8Scales)],
                        &sums_[static_cast<std::size_t>(t * stride)]);
    });
    return input;
  }

 private:
  static constexpr std::int64_t kTokenGrain = 8;
  struct alignas(64) Block {
    std::int8_t values[kInt8Block];
  };
  std::vector<Block> values_;
  std::vector<float> scales_, sums_;
};

/// What the kernels of these matrices see of x, in buffers of this thread's that last until its
/// next call.
KernelInput prepare(const KernelSet& set, std::span<const MatrixProduct> products, const float* x,
                    std::int64_t tokens, Activations activations) {
  thread_local std::vector<float> sums, transposed;
  thread_local Rounded rounded;
  thread_local Int8Input int8;
  const MatrixView& m = *products.front().matrix;
  KernelInput input;
  input.x = x;
  input.tokens = tokens;
  input.row_by_row = set.row_by_row;
  input.formats = set.formats;
  if (activations == Activations::q8 && takes_int8(m)) {
    int8 = rounded.round(set, m, x, tokens);
    input.int8 = &int8;
    const bool outliers = std::ranges::any_of(
        products, [](const MatrixProduct& p) { return p.matrix->outlier_offsets != nullptr; });
    if (outliers && tokens > 1) transpose(x, m.in, tokens, input, transposed);
  } else if (m.sums && tokens == 1) {
    sums.resize(static_cast<std::size_t>(m.groups));
    set.group_sums(x, m.in, m.group, sums.data());
    input.group_sums = sums.data();
  }
  return input;
}

/// Whether x becomes the same for both matrices before prepare() sees it.
bool transform_alike(const MatrixView& a, const MatrixView& b) {
  const auto equal = [](const Rotation* one, const Rotation* other) {
    return one == nullptr || other == nullptr ? one == other : *one == *other;
  };
  if (a.in != b.in || !equal(a.in_rotation, b.in_rotation) || !turned_alike(a, b)) return false;
  if (a.input_scales == nullptr || b.input_scales == nullptr)
    return a.input_scales == b.input_scales;
  return std::equal(a.input_scales, a.input_scales + a.in, b.input_scales);
}

/// Whether prepare() gives both matrices, whose x is the same, the same.
bool see_alike(const MatrixView& a, const MatrixView& b, Activations activations) {
  const bool a8 = activations == Activations::q8 && takes_int8(a),
             b8 = activations == Activations::q8 && takes_int8(b);
  if (a8 != b8) return false;
  if (a8)
    return a.bits == b.bits && has_small_units(a) == has_small_units(b) &&
           int8_unit(a) == int8_unit(b) && scales_in_rows(a) == scales_in_rows(b);
  return a.store == b.store && a.group == b.group && a.sums == b.sums;
}

/// Calls body(products) with all that have the first one's `alike`, then with those of the next …
template <class Alike, class Body>
void in_parts(std::span<const MatrixProduct> products, const Alike& alike, const Body& body) {
  const auto with_first = [&](const MatrixProduct& p) {
    return alike(*products.front().matrix, *p.matrix);
  };
  if (std::ranges::all_of(products, with_first)) return body(products);
  std::vector<MatrixProduct> rest(products.begin(), products.end());
  while (!rest.empty()) {
    const MatrixView& first = *rest.front().matrix;
    const auto others = std::stable_partition(
        rest.begin(), rest.end(), [&](const MatrixProduct& p) { return alike(first, *p.matrix); });
    body(std::span<const MatrixProduct>(rest.begin(), others));
    rest.erase(rest.begin(), others);
  }
}

/// y = x Wᵀ of what the set's kernels can see, the stored codes and, where not rotated, outliers,
/// for matrices that see x alike.
void multiply(const KernelSet& set, std::span<const MatrixProduct> products, const float* x,
              std::int64_t tokens, Activations activations) {
  const KernelInput input = prepare(set, products, x, tokens, activations);
  const auto kernel = input.int8 == nullptr ? set.matmul : set.matmul_int8;
  const std::int64_t grain = row_grain(products.front().matrix->in, tokens);
  const auto pieces = [=](const MatrixView& m) { return (m.out + grain - 1) / grain; };
  std::int64_t all = 0;
  for (const MatrixProduct& p : products) all += pieces(*p.matrix);
  const MatrixView& last = *products.back().matrix;
  Upcoming next = last.next;
  next.grain = row_grain(last.next_in, tokens);
  const auto multiply_piece = [&](std::int64_t piece, std::int64_t) {
    const MatrixProduct* p = products.data();
    for (; piece >= pieces(*p->matrix); ++p) piece -= pieces(*p->matrix);
    kernel(*p->matrix, input, p->y, piece * grain, std::min((piece + 1) * grain, p->matrix->out));
  };
  parallel_for(all, 1, multiply_piece, next);
}

/// y[t, o] += Σ value·x[t, column] over the outliers of row o.
void add_outliers(const MatrixView& matrix, const float* x, std::int64_t tokens, float* y) {
  const auto add_row = [&](std::int64_t o) {
    for (std::int64_t k = matrix.outlier_offsets[o]; k < matrix.outlier_offsets[o + 1]; ++k) {
      const float value = f16_to_float(load_u16(matrix.outlier_values, k));
      const float* input = x + load_u16(matrix.outlier_columns, k);
      for (std::int64_t t = 0; t < tokens; ++t)
        y[t * matrix.out + o] += value * input[t * matrix.in];
    }
  };
  parallel_for(matrix.out, row_grain(matrix.in, tokens), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) add_row(o);
  });
}

/// multiply() of matrices that may see x otherwise.
void multiply_all(const KernelSet& set, std::span<const MatrixProduct> products, const float* x,
                  std::int64_t tokens, Activations activations) {
  const auto alike = [=](const MatrixView& a, const MatrixView& b) {
    return see_alike(a, b, activations);
  };
  in_parts(products, alike, [&](std::span<const MatrixProduct> some) {
    multiply(set, some, x, tokens, activations);
  });
}

/// y = after(Ŵ before(x)) + outliers · x, Ŵ being what is stored, for matrices of one `before`:
/// before(t, x) changes the input of token t, after(matrix, t, y) its output.
template <class Before, class After>
void multiply_between(const KernelSet& set, std::span<const MatrixProduct> products, const float* x,
                      std::int64_t tokens, Activations activations, const Before& before,
                      const After& after) {
  constexpr std::int64_t kTokenGrain = 8;
  const std::int64_t in = products.front().matrix->in;
  thread_local std::vector<float> buffer;
  buffer.resize(static_cast<std::size_t>(tokens * in));
  float* changed = buffer.data();
  parallel_for(tokens, kTokenGrain, [&](std::int64_t begin, std::int64_t end) {
    std::copy(x + begin * in, x + end * in, changed + begin * in);
    for (std::int64_t t = begin; t < end; ++t) before(t, changed + t * in);
  });
  std::vector<MatrixView> dense;
  std::vector<MatrixProduct> inner;
  for (const MatrixProduct& p : products) {
    dense.push_back(*p.matrix);
    dense.back().outlier_offsets = nullptr;
  }
  for (std::size_t i = 0; i < products.size(); ++i) inner.push_back({&dense[i], products[i].y});
  multiply_all(set, inner, changed, tokens, activations);
  parallel_for(tokens, kTokenGrain, [&](std::int64_t begin, std::int64_t end) {
    for (const auto& [matrix, y] : products)
      for (std::int64_t t = begin; t < end; ++t) after(*matrix, t, y + t * matrix->out);
  });
  for (const auto& [matrix, y] : products)
    if (matrix->outlier_offsets != nullptr) add_outliers(*matrix, x, tokens, y);
}

void multiply_rotated(const KernelSet& set, std::span<const MatrixProduct> products, const float* x,
                      std::int64_t tokens, Activations activations) {
  const Rotation& rotation = *products.front().matrix->in_rotation;
  multiply_between(
      set, products, x, tokens, activations, [&](std::int64_t, float* own) { rotation.apply(own); },
      [](const MatrixView& m, std::int64_t, float* y) { m.out_rotation->undo(y); });
}

/// Products in the basis of a block Hadamard transform, of inputs that may be rounded there.
void multiply_turned(const KernelSet& set, std::span<const MatrixProduct> products, const float* x,
                     std::int64_t tokens, Activations activations) {
  const MatrixView& first = *products.front().matrix;
  thread_local std::vector<float> buffer;  // of a token: what its products are multiplied by
  buffer.resize(static_cast<std::size_t>(tokens));
  float* units = buffer.data();
  multiply_between(
      set, products, x, tokens, activations,
      [&, units](std::int64_t t, float* own) { units[t] = turn_input(first, own); },
      [units](const MatrixView& m, std::int64_t t, float* y) {
        for (std::int64_t o = 0; o < m.out; ++o) y[o] *= m.row_scales[o] * units[t];
      });
}

/// Products of matrices for which x becomes the same.
void multiply_alike(const KernelSet& set, std::span<const MatrixProduct> products, const float* x,
                    std::int64_t tokens, Activations activations) {
  const MatrixView& first = *products.front().matrix;
  if (first.input_scales != nullptr) x = scaled(first, x, tokens);
  const auto multiply_some = first.in_rotation != nullptr  ? multiply_rotated
                             : first.row_scales != nullptr ? multiply_turned
                                                           : multiply_all;
  multiply_some(set, products, x, tokens, activations);
}

}  // namespace

const std::vector<const KernelSet*>& usable_kernels() {
  static const std::vector<const KernelSet*> sets = [] {
    static const std::vector<KernelSet> fast = cpu_kernels();
    std::vector<const KernelSet*> found = {&reference_kernels()};
    for (const KernelSet& set : fast) found.push_back(&set);
    return found;
  }();
  return sets;
}

const KernelSet& kernels_of(const Runtime::State& state) {
  return state.kernels != nullptr ? *state.kernels : *usable_kernels().back();
}

const KernelSet& kernels() {
  return kernels_of(current_state());
}

void matmul(const MatrixView& matrix, const float* x, std::int64_t tokens, float* y) {
  matmul(kernels(), matrix, x, tokens, y, current_state().activations);
}

void matmul(const KernelSet& set, const MatrixView& matrix, const float* x, std::int64_t tokens,
            float* y, Activations activations) {
  matmul(set, {{{&matrix, y}}}, x, tokens, activations);
}

void matmul(std::span<const MatrixProduct> products, const float* x, std::int64_t tokens) {
  matmul(kernels(), products, x, tokens, current_state().activations);
}

void matmul(const KernelSet& set, std::span<const MatrixProduct> products, const float* x,
            std::int64_t tokens, Activations activations) {
  if (products.empty() || tokens <= 0) return;
  in_parts(products, transform_alike, [&](std::span<const MatrixProduct> some) {
    multiply_alike(set, some, x, tokens, activations);
  });
}

}  // namespace karat
