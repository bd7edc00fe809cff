#include "run/weights.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

#include "core/file.h"
#include "core/threads.h"
#include "format/rows.h"
#include "karat/error.h"
#include "load/ends.h"
#include "load/model_files.h"

namespace karat {
namespace {

/// [rows, columns] elements of `size` bytes -> [columns, rows], in tiles that stay in the cache.
std::vector<std::byte> transposed(const TensorView& view) {
  constexpr std::int64_t kTile = 32;
  const std::int64_t rows = view.shape[0], columns = view.shape[1];
  const auto size = static_cast<std::int64_t>(byte_size(view.dtype));
  std::vector<std::byte> result(view.bytes());
  parallel_for(columns, kTile, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r0 = 0; r0 < rows; r0 += kTile)
      for (std::int64_t c = begin; c < end; ++c)
        for (std::int64_t r = r0; r < std::min(r0 + kTile, rows); ++r)
          std::memcpy(result.data() + (c * rows + r) * size, view.data + (r * columns + c) * size,
                      static_cast<std::size_t>(size));
  });
  return result;
}

/// Finds the parts of one model in its files.
class Finder {
 public:
  explicit Finder(const LanguageModel::Impl& model) : model_(model) {}

  NormWeights find(const Norm& norm) const {
    NormWeights found{norm.kind, norm.size, norm.eps, to_floats(get(norm.name + ".weight")), {}};
    for (float& weight : found.weight) weight += norm.offset;
    if (norm.has_bias()) found.bias = to_floats(get(norm.name + ".bias"));
    if (norm.centred()) found.bias.resize(found.weight.size());
    return found;
  }

  LinearWeights find(const Linear& linear) const {
    LinearWeights found;
    if (linear.bias) found.bias = to_floats(get(linear.name + ".bias"));
    if (const PackedLayout* layout = packed_layout(linear.name)) {
      found.matrix =
          Matrix(packed_view(linear.name, *layout, linear.out, linear.in, find_tensor()));
      return found;
    }
    TensorView weight = get(linear.name + ".weight");
    if (linear.transposed) {
      found.rotated = transposed(weight);
      weight.shape = {linear.out, linear.in};
      weight.data = found.rotated.data();
    }
    found.matrix = Matrix(weight);
    return found;
  }

  RouterWeights find(const Router& router) const {
    return {router.out, router.in, to_floats(get(router.name + ".weight"))};
  }

  /// The embedding or the head.
  Matrix find_end(const std::string& weight) const {
    const std::string name = layer_of(weight);
    const PackedLayout* layout = packed_layout(name);
    if (layout == nullptr) return Matrix(get(weight));
    if (const int version = model_.quantization->version; version < kEndsVersion)
      fail("open " + model_.folder.string(),
           "packed " + name + " in format version " + std::to_string(version),
           "version " + std::to_string(kEndsVersion) + " or more, which may pack it");
    if ((layout->rotation || layout->hadamard != 0) && weight == model_.arch.embedding)
      fail("open " + model_.folder.string(), "an embedding with a rotation",
           "one whose rows can be read alone", "only linear layers and heads may be rotated");
    return Matrix(packed_view(name, *layout, model_.arch.vocab, model_.arch.hidden, find_tensor()));
  }

  BlockWeights find(const Block& block) const {
    auto found = BlockWeights::like(block);
    visit_parts([this](Role, const auto& part, auto& weights) { weights = find(part); }, block,
                found);
    return found;
  }

 private:
  const TensorView& get(const std::string& name) const { return model_.files.get(name); }
  FindTensor find_tensor() const {
    return [this](std::string_view name) { return model_.files.find(name); };
  }
  const PackedLayout* packed_layout(const std::string& name) const {
    if (!model_.quantization) return nullptr;
    const auto& layers = model_.quantization->layers;
    const auto found = layers.find(name);
    return found == layers.end() ? nullptr : &found->second;
  }
  const LanguageModel::Impl& model_;
};

std::size_t bytes_of(const LinearWeights& linear) {
  return static_cast<std::size_t>(linear.matrix.bytes()) + linear.bias.size() * sizeof(float);
}

std::size_t bytes_of(const NormWeights& norm) {
  return (norm.kind == Norm::Kind::layer ? 2 : 1) * norm.weight.size() * sizeof(float);
}

std::size_t bytes_of(const RouterWeights& router) {
  return router.weight.size() * sizeof(float);
}

bool of_expert(Role role) {
  return input_of(role) == Input::expert || input_of(role) == Input::expert_inner;
}

/// What a token reads of a block: of its experts as much as those that it chooses have on average.
void count(const Block& block, const BlockWeights& weights, LanguageModel::Impl& model) {
  std::size_t bytes = 0, of_experts = 0;
  std::int64_t all = 0, experts = 0;
  visit_parts(
      [&]<class Part>(Role role, const Part& part) {
        (of_expert(role) ? of_experts : bytes) += bytes_of(part);
        if constexpr (std::is_same_v<Part, LinearWeights>)
          (of_expert(role) ? experts : all) += part.matrix.out() * part.matrix.in();
      },
      weights);
  const auto number = static_cast<std::int64_t>(std::max<std::size_t>(block.mlp.experts.size(), 1));
  model.bytes_per_token +=
      bytes + of_experts * static_cast<std::size_t>(block.top_k) / static_cast<std::size_t>(number);
  model.weights_per_token += all + experts * block.top_k / number;
}

/// Tells every matrix which ones a token meets next; after the last comes the next token. Which
/// experts it meets is not known before.
void chain(LanguageModel::Impl& model) {
  std::vector<std::vector<Matrix*>> order;  // those of one input together
  for (BlockWeights& block : model.blocks) {
    std::optional<Input> last;
    visit_linears(block, [&](Role role, LinearWeights& layer) {
      if (of_expert(role)) return;
      if (last != input_of(role)) order.emplace_back();
      order.back().push_back(&layer.matrix);
      last = input_of(role);
    });
    for (auto& [gate, up, down] : block.mlp.experts)
      for (LinearWeights* layer : {&gate, &up}) layer->matrix.precede(std::array{&down.matrix});
  }
  order.push_back({model.own_head ? &*model.own_head : &model.embedding});
  model.weights_per_token += order.back()[0]->out() * order.back()[0]->in();
  for (std::size_t i = 0; i < order.size(); ++i)
    for (Matrix* matrix : order[i]) matrix->precede(order[(i + 1) % order.size()]);
}

}  // namespace

LanguageModel::Impl open_weights(const std::filesystem::path& folder) {
  LanguageModel::Impl model;
  model.folder = folder;
  model.arch = read_architecture(folder);
  model.quantization = parse_quantization(config_text(folder));
  model.files = Safetensors::open_folder(folder);
  match_weights(model.arch, model.files);

  const Architecture& arch = model.arch;
  const Finder finder(model);
  model.embedding = finder.find_end(arch.embedding);
  if (!arch.positions.empty()) model.positions = model.files.get(arch.positions);
  for (const Block& block : arch.blocks) {
    model.blocks.push_back(finder.find(block));
    count(block, model.blocks.back(), model);
  }
  model.final_norm = finder.find(arch.final_norm);
  if (!arch.tied()) model.own_head = finder.find_end(arch.head);
  if (!arch.head_bias.empty()) model.head_bias = to_floats(model.files.get(arch.head_bias));
  model.files.check();
  chain(model);
  model.bytes_per_token += static_cast<std::size_t>(model.head().bytes()) +
                           bytes_of(model.final_norm) + model.head_bias.size() * sizeof(float) +
                           static_cast<std::size_t>(model.embedding.bytes() / arch.vocab);
  if (model.positions)
    model.bytes_per_token +=
        static_cast<std::size_t>(arch.hidden) * byte_size(model.positions->dtype);
  return model;
}

std::vector<float> row_floats(const MatrixView& m, std::int64_t row) {
  if (m.store != MatrixView::Store::packed) {
    const DType dtype = m.store == MatrixView::Store::f32   ? DType::f32
                        : m.store == MatrixView::Store::f16 ? DType::f16
                                                            : DType::bf16;
    return row_floats(TensorView{"", dtype, {m.out, m.in}, m.dense}, row);
  }
  std::vector<float> weights(static_cast<std::size_t>(m.in));
  dense_row(*m.packed, row, weights.data());
  for (float& weight : weights) weight *= row_scale(*m.packed, row);
  if (m.outlier_offsets != nullptr)
    add_outliers(*m.packed, m.outlier_offsets[row], m.outlier_offsets[row + 1], weights.data());
  if (m.input_scales != nullptr)
    std::transform(weights.begin(), weights.end(), m.input_scales, weights.begin(),
                   std::multiplies<>());
  return weights;
}

std::vector<float> row_floats(const TensorView& matrix, std::int64_t row) {
  return to_floats(rows_of(matrix, row, 1));
}

}  // namespace karat
