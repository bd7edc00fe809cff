// A chat template is any text: it renders a conversation or throws Error, within its limits.
#include <cstddef>
#include <cstdint>

#include "karat/chat.h"
#include "karat/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const karat::ChatTemplate chat({reinterpret_cast<const char*>(data), size});
    chat.render(
        {.messages = R"([{"role": "user", "content": "Hello"}])", .tools = "[{}]", .now = 0});
  } catch (const karat::Error&) {
  }
  return 0;
}
