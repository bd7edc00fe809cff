#include "run/forward.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "core/threads.h"
#include "karat/error.h"
#include "kernel/kernel.h"
#include "run/attention.h"
#include "run/mlp.h"

namespace karat {
namespace {

constexpr std::int64_t kTokenGrain = 8;

/// Outputs of the q, k and v layers, whether they are three layers or one.
class Projections {
 public:
  Projections(const BlockWeights& block, const Architecture& arch, const float* x,
              std::int64_t tokens)
      : arch_(arch), grouped_(block.attention.kind == AttentionKind::grouped) {
    const auto layers = layers_reading(Input::attention, block);
    for (const LinearWeights* layer : layers) {
      outputs_.push_back(floats(tokens, layer->matrix.out()));
      widths_.push_back(layer->matrix.out());
    }
    apply(layers, x, tokens, outputs_);
  }

  /// A token's query heads, its keys or values, [heads, head_dim], go to `to`.
  void queries(std::int64_t token, float* to) const {
    const std::int64_t group = arch_.heads / arch_.kv_heads;
    for (std::int64_t h = 0; h < arch_.heads; ++h)
      copy(token, grouped_ ? h + h / group * 2 : h, to + h * arch_.head_dim);
  }
  void keys(std::int64_t token, float* to) const { of_group(token, 0, to); }
  void values(std::int64_t token, float* to) const { of_group(token, 1, to); }

 private:
  /// The key (0) or the value (1) of every key head.
  void of_group(std::int64_t token, std::int64_t which, float* to) const {
    const std::int64_t group = arch_.heads / arch_.kv_heads;
    for (std::int64_t h = 0; h < arch_.kv_heads; ++h)
      copy(token,
           grouped_ ? h * (group + 2) + group + which : arch_.heads + which * arch_.kv_heads + h,
           to + h * arch_.head_dim);
  }
  /// Head `head` of the layers' outputs, one after the other.
  void copy(std::int64_t token, std::int64_t head, float* to) const {
    std::int64_t column = head * arch_.head_dim;
    std::size_t i = 0;
    while (column >= widths_[i]) column -= widths_[i++];
    std::copy_n(outputs_[i].data() + token * widths_[i] + column, arch_.head_dim, to);
  }

  const Architecture& arch_;
  bool grouped_;
  std::vector<std::vector<float>> outputs_;
  std::vector<std::int64_t> widths_;
};

/// Normalizes and rotates a token's heads [heads, head_dim], in the order that the block says.
void turn_heads(const Pass& pass, const Block& block, const std::optional<NormWeights>& norm,
                std::int64_t token, std::int64_t heads, float* x) {
  const std::int64_t dim = pass.model.arch.head_dim;
  const auto normalize = [&] {
    if (norm) apply(*norm, x, heads * dim / norm->size, x);
  };
  if (!block.rope_first) normalize();
  for (std::int64_t h = 0; block.rope && h < heads; ++h)
    pass.rope.rotate(*block.rope, x + h * dim, token);
  if (block.rope_first) normalize();
}

/// A token's queries [heads, head_dim] go to `q`, its keys and values to `place` in the cache.
/// `buffer`: room for these [2, kv_heads, head_dim].
void place_heads(Pass& pass, std::int64_t layer, std::int64_t token, std::int64_t place,
                 const Projections& qkv, float* q, std::vector<float>& buffer) {
  const Architecture& arch = pass.model.arch;
  const auto index = static_cast<std::size_t>(layer);
  const auto& parts = pass.model.blocks[index].attention;
  const Block& block = arch.blocks[index];
  float *keys = buffer.data(), *values = keys + arch.kv_heads * arch.head_dim;
  qkv.queries(token, q);
  turn_heads(pass, block, parts.q_norm, token, arch.heads, q);
  qkv.keys(token, keys);
  qkv.values(token, values);
  turn_heads(pass, block, parts.k_norm, token, arch.kv_heads, keys);
  for (std::int64_t h = 0; h < arch.kv_heads; ++h)
    pass.cache.store(layer, h, place, keys + h * arch.head_dim, values + h * arch.head_dim);
}

/// The rows of x [tokens, width] that a pass wants.
std::vector<float> gathered(const std::vector<float>& x, std::span<const std::int64_t> rows,
                            std::int64_t width) {
  std::vector<float> kept = floats(static_cast<std::int64_t>(rows.size()), width);
  for (std::size_t r = 0; r < rows.size(); ++r)
    std::copy_n(x.begin() + rows[r] * width, width,
                kept.begin() + static_cast<std::ptrdiff_t>(r) * width);
  return kept;
}

/// y [tokens, heads · head_dim] = attention of block `layer` over x [tokens, hidden]; with
/// `wanted`, of these rows alone.
std::vector<float> attention(Pass& pass, std::int64_t layer, const float* x,
                             const std::vector<std::int64_t>* wanted) {
  const Architecture& arch = pass.model.arch;
  const Projections qkv(pass.model.blocks[static_cast<std::size_t>(layer)], arch, x, pass.tokens);
  std::vector<float> q = floats(pass.tokens, arch.heads * arch.head_dim);
  const std::vector<std::int64_t> places = places_of(pass.runs);
  parallel_for(pass.tokens, kTokenGrain, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> buffer = floats(2, arch.kv_heads * arch.head_dim);
    for (std::int64_t t = begin; t < end; ++t)
      place_heads(pass, layer, t, places[static_cast<std::size_t>(t)], qkv,
                  q.data() + t * arch.heads * arch.head_dim, buffer);
  });
  if (wanted != nullptr) q = gathered(q, *wanted, arch.heads * arch.head_dim);
  std::vector<float> y(q.size());
  const AttentionShape shape{layer,
                             arch.heads,
                             arch.kv_heads,
                             arch.head_dim,
                             arch.blocks[static_cast<std::size_t>(layer)].window,
                             arch.score_scale,
                             arch.score_cap,
                             arch.slopes,
                             pass.independent};
  if (wanted == nullptr)
    attend(pass.cache, shape, pass.runs, q.data(), y.data());
  else
    attend(pass.cache, shape, runs_of(pass.runs, *wanted), q.data(), y.data());
  return y;
}

/// x += scale · norm(y), the norm where there is one.
void add(const std::optional<NormWeights>& norm, std::vector<float> y, float scale,
         std::vector<float>& x, std::int64_t tokens) {
  if (norm) apply(*norm, y.data(), tokens, y.data());
  add_scaled(scale, y.data(), x.data(), static_cast<std::int64_t>(x.size()));
}

/// y = norm(x), or x where there is none.
void read(const std::optional<NormWeights>& norm, const std::vector<float>& x, std::int64_t tokens,
          std::vector<float>& y) {
  if (norm)
    apply(*norm, x.data(), tokens, y.data());
  else
    std::copy(x.begin(), x.end(), y.begin());
}

std::vector<float> embed(const Pass& pass, std::span<const TokenId> ids) {
  const LanguageModel::Impl& model = pass.model;
  const auto positions = positions_of(pass.runs);
  std::vector<float> x;
  x.reserve(ids.size() * static_cast<std::size_t>(model.arch.hidden));
  for (std::size_t t = 0; t < ids.size(); ++t) {
    std::vector<float> row = row_floats(model.embedding.view(), ids[t]);
    for (float& value : row) value *= model.arch.embedding_scale;
    if (model.positions) {
      const auto place = row_floats(*model.positions, positions[t] + model.arch.position_offset);
      std::transform(row.begin(), row.end(), place.begin(), row.begin(), std::plus<>());
    }
    x.insert(x.end(), row.begin(), row.end());
  }
  return x;
}

}  // namespace

void check_ids(const std::string& operation, std::span<const TokenId> ids,
               const Architecture& arch) {
  for (const TokenId id : ids)
    if (id < 0 || id >= arch.vocab)
      fail(operation, "token id " + std::to_string(id), "an id below " + std::to_string(arch.vocab),
           "the tokenizer does not belong to this model");
}

std::vector<std::int64_t> positions_of(std::span<const QueryRun> runs) {
  std::vector<std::int64_t> positions;
  for (const QueryRun& run : runs)
    for (std::int64_t t = 0; t < run.tokens; ++t) positions.push_back(run.position + t);
  return positions;
}

std::vector<std::int64_t> places_of(std::span<const QueryRun> runs) {
  std::vector<std::int64_t> places;
  for (const QueryRun& run : runs) {
    const std::int64_t first = run.keys.back().begin + run.position - run.keys.back().position;
    for (std::int64_t t = 0; t < run.tokens; ++t) places.push_back(first + t);
  }
  return places;
}

std::vector<QueryRun> runs_of(std::span<const QueryRun> runs, std::span<const std::int64_t> rows) {
  std::vector<QueryRun> found;
  std::size_t next = 0;
  for (const QueryRun& run : runs)
    for (std::int64_t before = -2; next < rows.size() && rows[next] < run.first + run.tokens;
         before = rows[next++])
      if (rows[next] == before + 1)
        ++found.back().tokens;
      else
        found.push_back(
            {static_cast<std::int64_t>(next), 1, run.position + rows[next] - run.first, run.keys});
  return found;
}

void forward(Pass pass, std::span<const TokenId> ids, float* states) {
  const LanguageModel::Impl& model = pass.model;
  std::vector<float> x = embed(pass, ids), normed(x.size());
  for (std::size_t i = 0; i < model.blocks.size(); ++i) {
    const BlockWeights& block = model.blocks[i];
    const Joining joining = model.arch.blocks[i].joining;
    const auto* wanted = i + 1 == model.blocks.size() ? pass.wanted : nullptr;
    read(block.attention.norm, x, pass.tokens, normed);
    const std::vector<float> y =
        attention(pass, static_cast<std::int64_t>(i), normed.data(), wanted);
    if (wanted != nullptr) {
      x = gathered(x, *wanted, model.arch.hidden);
      if (joining == Joining::shared) normed = gathered(normed, *wanted, model.arch.hidden);
      pass.tokens = static_cast<std::int64_t>(wanted->size());
    }
    if (joining == Joining::parallel) read(block.mlp.norm, x, pass.tokens, normed);
    std::vector<float> change = floats(pass.tokens, model.arch.hidden);
    apply(block.attention.o, y.data(), pass.tokens, change.data());
    add(block.attention.out_norm, std::move(change), model.arch.residual_scale, x, pass.tokens);
    if (joining == Joining::sequential) read(block.mlp.norm, x, pass.tokens, normed);
    const MlpShape shape{pass.tokens, model.arch.hidden, model.arch.activation, pass.independent};
    add(block.mlp.out_norm, feed_forward(shape, model.arch.blocks[i], block, normed.data()),
        model.arch.residual_scale, x, pass.tokens);
  }
  apply(model.final_norm, x.data(), pass.tokens, states);
}

}  // namespace karat
