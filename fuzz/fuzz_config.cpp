// libFuzzer target of the config.json reader, through every family: whatever it accepts has sane
// sizes, and can be held against a checkpoint.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "karat/error.h"
#include "karat/safetensors.h"
#include "load/family.h"

using namespace karat;

namespace {

void require(bool holds) {
  if (!holds) __builtin_trap();
}

void check(Architecture& arch) {
  require(arch.heads > 0 && arch.kv_heads > 0 && arch.heads % arch.kv_heads == 0);
  require(arch.head_dim > 0 && arch.hidden > 0 && arch.ffn > 0 && arch.vocab > 0);
  require(!arch.blocks.empty());
  require(arch.ropes.empty() == !arch.positions.empty());
  for (const Block& block : arch.blocks) require(block.window >= 0);
  for (const auto& [name, shape] : tensor_shapes(arch))
    for (const std::int64_t extent : shape) require(extent > 0 && !name.empty());
  Safetensors nothing;
  match_weights(arch, nothing);  // throws: nothing is there
  require(false);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    Architecture arch =
        parse_architecture({reinterpret_cast<const char*>(data), size}, "config.json");
    check(arch);
  } catch (const Error&) {
  }
  return 0;
}
