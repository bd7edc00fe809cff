// How the runtime computes: which instruction set, and in which numbers. Both hold for the process.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace karat {

/// Instruction sets whose kernels this CPU can run, slowest first: "reference", then of "avx2",
/// "avx-vnni", "avx512" and "avx512-vnni", or of "neon" and "neon-dotprod".
std::vector<std::string_view> instruction_sets();
/// The one in use: the last of them, unless the environment variable KARAT_ISA names another.
std::string_view instruction_set();
/// Throws Error on a name that is unknown or that this CPU cannot run.
void use_instruction_set(std::string_view name);

/// What activations are while they are multiplied with packed weights: as they are, or 8-bit
/// integers of which 16 share a scale, where a layout has such kernels (uniform grids of 2 to 4
/// bits in groups of whole 128s; of 3 bits in blocks). Nothing else is rounded: other layers,
/// outliers, norms and attention are not.
enum class Activations : std::uint8_t { f32, q8 };
/// "f32", "q8". Throws Error on another name.
Activations parse_activations(std::string_view name);
std::string_view name_of(Activations activations);
/// f32 until set, unless the environment variable KARAT_ACTIVATIONS says otherwise.
Activations activations();
void use_activations(Activations activations);
/// Uses others while it lives.
class ActivationsScope {
 public:
  explicit ActivationsScope(Activations chosen) : before_(activations()) {
    use_activations(chosen);
  }
  ~ActivationsScope() { use_activations(before_); }
  ActivationsScope(const ActivationsScope&) = delete;
  ActivationsScope& operator=(const ActivationsScope&) = delete;

 private:
  Activations before_;
};

}  // namespace karat
