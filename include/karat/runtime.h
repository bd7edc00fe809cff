// How the library computes: on how many threads, with which instruction set, in which numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace karat {

/// Instruction sets whose kernels this CPU can run, slowest first: "reference", then of "avx2",
/// "avx-vnni", "avx512" and "avx512-vnni", or of "neon" and "neon-dotprod".
std::vector<std::string_view> instruction_sets();

/// What activations are while they are multiplied with packed weights: as they are, or 8-bit
/// integers of which 16 share a scale, where a layout has such kernels (uniform grids of 2 to 4
/// bits in groups of whole 128s; of 3 bits in blocks; column trellises). Nothing else is rounded:
/// other layers, outliers, norms and attention are not.
enum class Activations : std::uint8_t { f32, q8 };
/// "f32", "q8". Throws Error on another name.
Activations parse_activations(std::string_view name);
std::string_view name_of(Activations activations);

struct RuntimeOptions {
  int threads = 0;              // the calling one included; 0: as many as the process may use cores
  std::string instruction_set;  // empty: the last of instruction_sets()
  Activations activations = Activations::f32;
};

/// Threads, kernels and numbers to work with; a cheap handle whose copies share the threads. There
/// may be any number of them, at work at the same time. A call of the library works with the one
/// that is current in its thread; a runtime sets nothing for the process, but the first model that
/// is opened installs a handler of SIGBUS (karat/safetensors.h). Two threads that share a runtime
/// take turns. Results do not depend on the number of threads.
class Runtime {
 public:
  /// Throws Error on a number of threads below 0, or an instruction set that is unknown or that
  /// this CPU cannot run.
  explicit Runtime(const RuntimeOptions& options = {});
  /// That of the calling thread's innermost Scope. Without one: all cores, the last instruction
  /// set, activations as they are.
  static Runtime current();

  int threads() const;
  std::string_view instruction_set() const;
  Activations activations() const;
  Runtime with(Activations activations) const;  // the same threads and kernels

  struct State;

  /// Makes a runtime the current one of the calling thread while it lives. Scopes end in the
  /// opposite order of their beginnings.
  class Scope {
   public:
    explicit Scope(const Runtime& runtime) : Scope(runtime.state_) {}
    explicit Scope(std::shared_ptr<const State> state);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    std::shared_ptr<const State> state_;
    const State* before_;
  };

 private:
  explicit Runtime(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace karat
