// How fast a model runs here, beside what the machine's memory allows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "karat/engine.h"
#include "karat/progress.h"
#include "karat/runtime.h"

namespace karat {

struct BenchOptions {
  std::int64_t prompt = 512;                         // tokens of the prefill; 0: none
  std::vector<std::int64_t> contexts = {128, 4096};  // that decoding is measured after
  std::int64_t decode = 32;                          // tokens of one measurement
  int repeats = 3;                                   // of which the fastest counts
  CacheType cache = CacheType::f16;
  Activations activations = Activations::q8;
};

struct DecodeSpeed {
  std::int64_t context = 0;
  double tokens_per_second = 0;
  double gigabytes_per_second = 0;  // of weights and, at this context, keys and values
  /// What all threads together take for a token, by the weights that it is multiplied with; 0 where
  /// it cannot be counted.
  double instructions_per_weight = 0, cycles_per_weight = 0;
};

struct BenchResult {
  double read_bandwidth = 0;  // GB/s of all threads, measured
  double load_seconds = 0;    // from the folder to the first token, its files in the page cache
  double prefill_tokens_per_second = 0;
  std::vector<DecodeSpeed> decode;
  std::size_t weight_bytes = 0;   // that a token reads
  std::size_t mapped_bytes = 0;   // of the model's files
  std::size_t cache_bytes = 0;    // of keys and values, at the longest context
  std::size_t private_bytes = 0;  // most memory that no file backs, the cache included
  std::string uncounted = {};  // why there are no instructions and cycles; empty where there are
  std::vector<std::string> warnings = {};  // of the model's folder: Architecture::warnings
};

/// GB/s of reading 512 MiB, more than caches hold, with all threads. The fastest of some passes.
double read_bandwidth();

/// Runs random tokens (seed 0). Contexts longer than the model's are left out; throws when none is
/// left.
BenchResult bench(const std::filesystem::path& folder, const BenchOptions& options,
                  const ProgressFn& progress = {});

}  // namespace karat
