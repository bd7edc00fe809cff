// A layer of a block in groups, for tuners that learn the line of each.
#pragma once

#include "karat/axes.h"

namespace karat {

/// Scale and zero, each [out, groups, 1].
struct GroupLines {
  torch::Tensor scale = {}, zero = {};
};

/// What a tuner begins with. Tensors of weights are [out, groups, n], zeros filling the last group.
struct GroupedLayer {
  EvenLevels levels = {};
  std::int64_t in = 0;
  torch::Tensor weight = {};                         // that the solver rounded
  Kept kept = {};                                    // Bool or undefined
  GroupLines lines = {};                             // as the solver left them
  torch::Tensor flat(const torch::Tensor& x) const;  // [out, groups, n] -> [out, in]
};
GroupedLayer grouped_layer(const TunedLayer& layer);

/// Throws Error, in the name of `tuner`, on a grid without EvenLevels.
void check_even(const std::string& tuner, const Grid& grid);

/// The lines as they are stored; gradients pass.
GroupLines stored_lines(const EvenLevels& levels, const GroupLines& lines);
/// What `v` [out, groups, n] decodes to once rounded on `lines`, which are stored ones; kept
/// weights as they are. [out, in], differentiable in v and in the lines.
torch::Tensor decoded_weights(const GroupedLayer& layer, const torch::Tensor& v,
                              const GroupLines& lines);
/// `start` with the codes of v on these lines.
Solution with_lines(const GroupedLayer& layer, const Solution& start, const torch::Tensor& v,
                    const GroupLines& lines);

}  // namespace karat
