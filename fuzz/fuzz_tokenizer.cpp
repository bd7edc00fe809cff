// libFuzzer target of the tokenizer readers: the first byte says which, the rest is the file. What
// opens must encode, decode and stream an awkward text; everything else must be an Error.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "karat/error.h"
#include "load/tokenizer_impl.h"

using namespace karat;

namespace {

constexpr std::string_view kText =
    " Hello  world's 123 caf\u00e9 e\u0301 \n\n\t漢字 😀 <s>x</s> <|endoftext|>\xff\xe6\xbc ab";

void use(const Tokenizer& tokenizer) {
  const auto ids = tokenizer.encode(kText);
  tokenizer.decode(ids);
  TokenStream stream(tokenizer);
  for (const TokenId id : ids) stream.push(id);
  for (const TokenId id : {-1, 0, 1, 1 << 30}) stream.push(id);
  stream.finish();
  if (const auto bos = tokenizer.bos()) tokenizer.decode(std::span(&*bos, 1), false);
  tokenizer.find("a");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string file(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    use(Tokenizer::Impl::wrap(data[0] == 's' ? Tokenizer::Impl::from_sentencepiece(file, "", "file")
                                             : Tokenizer::Impl::from_json(file, "file")));
  } catch (const Error&) {
  }
  return 0;
}
