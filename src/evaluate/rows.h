// One scored token: what the model says, and how far that is from what its original says.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "evaluate/logit_cache.h"
#include "evaluate/scores.h"
#include "evaluate/statistics.h"
#include "karat/evaluate.h"

namespace karat {

/// The model's logits, and one of the original's forms or none.
struct RowTask {
  std::int64_t index = 0;  // of the token, in the whole text
  TokenId next = 0;        // the token that came
  std::span<const float> logits = {}, original = {};
  const LogitCache* cache = nullptr;
  LogitRecorder* recorder = nullptr;
  std::span<const float> rounded = {};  // the model's logits with activations of 8 bits, or none
};
struct RowScore {
  double nll = 0, original_nll = 0, divergence = 0;
  double probability_change = 0;  // of the token that came
  bool same_first = false;
  int shared_five = 0;                // of the five likeliest tokens
  std::optional<double> cached = {};  // KL by cached logits of what `checked` measures
  double checked = 0;                 // exact KL
  std::optional<double> rounded_nll = {};
};
RowScore score_row(const RowTask& task);

/// Sums in token order, whatever the threads did.
class RowSums {
 public:
  void add(const RowScore& row, bool compared);
  const Mean& nll() const { return nll_; }
  /// What was compared; sorts what was gathered.
  Divergence divergence(std::int64_t vocab);
  std::optional<CacheCheck> check(bool noise) const;
  std::optional<RoundedActivations> rounded() const;

 private:
  Mean nll_, original_nll_, divergence_, shared_five_, change_square_;
  Mean exact_, cached_, deviation_square_;
  std::vector<float> divergences_;
  std::vector<double> nlls_, rounded_nlls_;  // of tokens that have both
  std::int64_t same_first_ = 0;
};

}  // namespace karat
