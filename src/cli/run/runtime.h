// Options of the verbs that run models: how to compute, and how to keep keys and values.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "karat/engine.h"
#include "karat/runtime.h"

namespace karat {

struct RuntimeChoice {
  std::string isa, activations, cache;
  CacheType cache_type() const { return parse_cache_type(cache); }
  /// The program's runtime with what was chosen instead.
  Runtime runtime() const {
    const Runtime now = Runtime::current();
    return Runtime({now.threads(), isa.empty() ? std::string(now.instruction_set()) : isa,
                    parse_activations(activations)});
  }
};

/// Adds --isa, --activations and --kv with these defaults.
inline void declare(CLI::App& app, RuntimeChoice& choice, const std::string& activations,
                    const std::string& cache) {
  choice.activations = activations;
  choice.cache = cache;
  app.add_option("--isa", choice.isa, "Kernels to use; a wrong name lists those of this CPU");
  app.add_option("--activations", choice.activations,
                 "f32, or q8: rounded to 8 bits where packed layers have such kernels")
      ->capture_default_str();
  app.add_option("--kv", choice.cache, "Keys and values are kept as f32, f16 or q8")
      ->capture_default_str();
}

}  // namespace karat
