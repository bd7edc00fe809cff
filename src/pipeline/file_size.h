// The bytes of an output's weight files, known before anything is quantized.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "pipeline/fits.h"
#include "pipeline/steps.h"

namespace karat {

/// Bytes of the packed tensors of a matrix, its overlay apart.
std::int64_t packed_bytes(const PackedLayout& layout, std::int64_t out, std::int64_t in);

/// The tensors that a quantized folder takes over as they are: all but the matrices in `packed`,
/// by layer name; those of a GGUF type are written in F16. A second copy of tied embeddings goes
/// with the first.
std::vector<TensorView> dense_tensors(const Source& model, const std::set<std::string>& packed);

/// A matrix that will be packed.
struct PackedPart {
  std::string name;
  std::int64_t out = 0, in = 0;
  bool end = false;                  // embedding or head
  const Layouts* layouts = nullptr;  // that it may get; of more than one a width chooses
  std::int64_t kept = 0;             // weights at FP16, at most
  bool many = false;                 // perhaps more than 255 of them in a row

  const PackedLayout& layout(const LayerWidths& widths) const;
  /// Of the layout that `widths` choose, and of what is kept.
  std::vector<TensorView> tensors(const LayerWidths& widths) const;
};

/// What save() will write: as many bytes, or at most so many where a transform is folded into
/// tensors that are not packed, or a step after quantizing chooses whom to keep.
class FileSize {
 public:
  FileSize(const Source& model, const Assembled& recipe, const Chosen& kept);
  FileSize(const FileSize&) = delete;  // parts point into it
  FileSize& operator=(const FileSize&) = delete;

  const std::vector<PackedPart>& parts() const { return parts_; }  // in the order of the file
  std::int64_t bytes(const LayerWidths& widths) const;             // of all files, headers included
  /// All mixed parts at their narrowest or widest.
  LayerWidths extreme(bool widest) const;

 private:
  Layouts layers_, ends_;
  std::vector<TensorView> dense_;
  std::vector<PackedPart> parts_;
  std::vector<std::size_t> blocks_;  // the first part of each, and of the ends
};

/// The widths that lose least within the recipe's mean or budget. Throws Error naming the smallest
/// size where the budget is smaller. Empty where the recipe mixes none.
LayerWidths choose_widths(const Source& model, const Assembled& recipe, const Measured& measured);

/// Throws Error when not even the narrowest codes, with nothing kept, are within the budget.
void check_reachable(const Source& model, const Assembled& recipe);

/// What is to be told of a file of `bytes`: nothing, or that the budget is larger than the widest
/// mix, or that steps are too coarse to come within 1 % of it.
std::vector<std::string> budget_notices(const Source& model, const Assembled& recipe,
                                        const FileSize& file, std::int64_t bytes);

}  // namespace karat
