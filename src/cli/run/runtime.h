// Options of the verbs that run models: how to compute, and how to keep keys and values.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "karat/engine.h"
#include "karat/runtime.h"

namespace karat {

struct RuntimeOptions {
  std::string isa, activations, cache;
  CacheType cache_type() const { return parse_cache_type(cache); }
};

/// Adds --isa, --activations and --kv with these defaults.
inline void declare(CLI::App& app, RuntimeOptions& options, const std::string& activations,
                    const std::string& cache) {
  options.activations = activations;
  options.cache = cache;
  app.add_option("--isa", options.isa, "Kernels to use; a wrong name lists those of this CPU");
  app.add_option("--activations", options.activations,
                 "f32, or q8: rounded to 8 bits where packed layers have such kernels")
      ->capture_default_str();
  app.add_option("--kv", options.cache, "Keys and values are kept as f32, f16 or q8")
      ->capture_default_str();
}

inline void apply(const RuntimeOptions& options) {
  if (!options.isa.empty()) use_instruction_set(options.isa);
  instruction_set();  // a wrong KARAT_ISA is refused here, before anything is printed
  use_activations(parse_activations(options.activations));
}

}  // namespace karat
