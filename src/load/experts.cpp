#include "load/experts.h"

#include <fmt/format.h>

#include "load/llama_like.h"

namespace karat {
namespace {

constexpr std::int64_t kMostExperts = 4096;

/// Blocks that mlp_only_layers names.
std::vector<bool> dense_blocks(const ConfigReader& config, std::size_t blocks) {
  const char* key = "mlp_only_layers";
  std::vector<bool> dense(blocks, false);
  if (!config.holds(key)) return dense;
  const nlohmann::json& list = config.json()[key];
  if (!list.is_array()) config.reject(key, "a list of layers");
  for (const nlohmann::json& layer : list) {
    if (!layer.is_number_unsigned()) config.reject(key, "a list of layers");
    if (const auto i = layer.get<std::size_t>(); i < blocks) dense[i] = true;
  }
  return dense;
}

}  // namespace

ExpertSizes read_experts(const ConfigReader& config, std::int64_t count, std::int64_t top_k) {
  const char *key = "num_experts", *other = "num_local_experts";
  const std::int64_t by_other = config.integer_or(other, count, 1, kMostExperts);
  const ExpertSizes sizes{config.integer_or(key, by_other, 1, kMostExperts),
                          config.count_or("num_experts_per_tok", top_k)};
  if (config.holds(other) && by_other != sizes.count)
    config.reject(other, fmt::format("{}, as {} says", sizes.count, key));
  if (sizes.top_k > sizes.count)
    config.reject("num_experts_per_tok", fmt::format("at most the {} experts", sizes.count));
  return sizes;
}

void set_experts(Block& block, const std::string& prefix, const ExpertNames& names,
                 const ExpertSizes& sizes, std::int64_t hidden) {
  const std::string place = prefix + names.place;
  block.top_k = sizes.top_k;
  block.shares_of_chosen = sizes.shares_of_chosen;
  Mlp& mlp = block.mlp;
  mlp.kind = MlpKind::none;
  mlp.gate = mlp.up = mlp.gate_up = mlp.down = {};
  mlp.router = Router{place + names.router, sizes.count, hidden};
  for (std::int64_t e = 0; e < sizes.count; ++e) {
    const auto layer = [&](const std::string& name, std::int64_t out, std::int64_t in) {
      return Linear{.name = fmt::format("{}experts.{}.{}", place, e, name),
                    .out = out,
                    .in = in,
                    .stacks = {{fmt::format("{}experts.{}.weight", place, name), e * out}}};
    };
    Expert expert{layer(names.gate, sizes.ffn, hidden), layer(names.up, sizes.ffn, hidden),
                  layer(names.down, hidden, sizes.ffn)};
    expert.gate.stacks.push_back({place + names.all_gate_up, 2 * e * sizes.ffn});
    expert.up.stacks.push_back({place + names.all_gate_up, (2 * e + 1) * sizes.ffn});
    expert.down.stacks.push_back({place + names.all_down, e * hidden});
    mlp.experts.push_back(std::move(expert));
  }
}

std::vector<bool> set_qwen_experts(const ConfigReader& config, Architecture& arch,
                                   const ExpertSizes& sizes) {
  const auto step = static_cast<std::size_t>(config.count_or("decoder_sparse_step", 1));
  std::vector<bool> sparse = dense_blocks(config, arch.blocks.size());
  change_blocks(arch, [&](Block& block, const std::string& name, std::size_t i) {
    sparse[i] = !sparse[i] && (i + 1) % step == 0;
    if (sparse[i]) set_experts(block, name, {}, sizes, arch.hidden);
  });
  return sparse;
}

}  // namespace karat
