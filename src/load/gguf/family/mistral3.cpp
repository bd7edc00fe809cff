// The text of Mistral Small 3.1 and later, as newer files name it: Llama without biases.
#include "load/gguf/family.h"

namespace karat {

GgufFamily mistral3_gguf(const GgufKeys& keys) {
  const std::string scale = keys.own("attention.temperature_scale");
  if (keys.find_number(scale).value_or(0) != 0)
    keys.reject(scale, "a scale of scores that grows with the position", "none");
  GgufFamily family{
      .config = llama_config(keys, "mistral"), .names = llama_names(), .paired = true};
  family.config["sliding_window"] = nullptr;
  return family;
}

}  // namespace karat
