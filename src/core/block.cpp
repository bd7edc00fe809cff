#include "core/block.h"

#include <fmt/format.h>

#include "karat/error.h"

namespace karat {

const BlockType* find_block_type(std::uint32_t id) {
  for (const auto& [name, type] : block_table())
    if (type().id == id) return &type();
  return nullptr;
}

void decode_blocks(const BlockType& type, const std::byte* data, std::int64_t count, float* w) {
  for (std::int64_t i = 0; i < count; i += type.values, data += type.bytes)
    type.decode(data, w + i);
}

TensorView block_view(std::string name, const BlockType& type, std::vector<std::int64_t> shape,
                      const std::byte* data) {
  if (shape.empty() || shape.back() % type.values != 0)
    fail("tensor " + name, fmt::format("rows of {}", shape.empty() ? 1 : shape.back()),
         fmt::format("a multiple of {}, the block of {}", type.values, type.name));
  TensorView view{std::move(name), DType::block, std::move(shape), data};
  view.block = &type;
  return view;
}

}  // namespace karat
