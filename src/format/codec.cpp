#include "format/codec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "format/blocks.h"
#include "karat/error.h"

namespace karat {

const Codec& find_codec(const std::string& where, const std::string& format) {
  const auto found = codec_table().find(format);
  if (found != codec_table().end()) return found->second();
  std::vector<std::string_view> names;
  for (const auto& [name, codec] : codec_table()) names.push_back(name);
  fail(where, fmt::format("\"{}\"", format), fmt::format("one of {}", fmt::join(names, ", ")),
       kUpgrade);
}

const std::vector<const Codec*>& all_codecs() {
  static const std::vector<const Codec*> codecs = [] {
    std::vector<const Codec*> found;
    for (const auto& [name, codec] : codec_table()) found.push_back(&codec());
    found.push_back(&blocks_codec());
    return found;
  }();
  return codecs;
}

}  // namespace karat
