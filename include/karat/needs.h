// Which statistics of a model somebody asks for.
#pragma once

#include <algorithm>

namespace karat {

/// What the factors of a layer's Fisher information are found from: its tokens, as if they were
/// independent, or whole sequences (sketches A and B of YAQA, arXiv 2505.22988).
enum class Sketch { none, tokens, sequences };

/// Which statistics somebody asks for.
struct Needs {
  bool gradient = false;
  bool fisher = false;
  bool hessian = false;
  bool input_abs = false;
  bool input_square = false;
  bool token_weights = false;
  bool guided = false;            // needs SweepOptions::token_weights
  bool ends = false;              // SweepResult::ends
  Sketch factors = Sketch::none;  // of drawn labels, so no other gradients in the same sweep
  bool blocks = false;            // what blocks read and are to write; only without gradients
  bool text = false;              // the text itself; no sweep finds anything for it

  bool text_gradients() const { return gradient || fisher || token_weights || ends; }
  bool backward() const { return text_gradients() || factors != Sketch::none; }
  bool inputs() const { return hessian || input_abs || input_square || guided; }
  bool any() const { return backward() || inputs() || blocks || text; }
  Needs forward() const {  // what no backward pass is needed for
    return {.hessian = hessian,
            .input_abs = input_abs,
            .input_square = input_square,
            .guided = guided,
            .blocks = blocks};
  }
  Needs operator|(const Needs& other) const {
    return {gradient || other.gradient,
            fisher || other.fisher,
            hessian || other.hessian,
            input_abs || other.input_abs,
            input_square || other.input_square,
            token_weights || other.token_weights,
            guided || other.guided,
            ends || other.ends,
            std::max(factors, other.factors),
            blocks || other.blocks,
            text || other.text};
  }
  bool operator==(const Needs&) const = default;
};

}  // namespace karat
