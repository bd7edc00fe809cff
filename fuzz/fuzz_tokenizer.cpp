// libFuzzer target of the tokenizer readers: the first byte says which, the rest is the file, or
// one of the files beside a tokenizer. What opens must encode, decode and stream an awkward text;
// everything else must be an Error.
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
  for (const TokenId id : {-1, 0, 1 << 30}) tokenizer.piece(id);
}

constexpr std::string_view kSmall =
    R"({"added_tokens": [{"id": 3, "content": "<s>", "special": true}], "decoder": {"type": "Fuse"},
        "model": {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})";

std::shared_ptr<const Tokenizer::Impl> open(char kind, const std::string& file) {
  switch (kind) {
    case 's':
      return Tokenizer::Impl::from_sentencepiece(file, "file", {});
    case 'c':
      return Tokenizer::Impl::from_json(kSmall, "small", {.config = file});
    case 'm':
      return Tokenizer::Impl::from_json(kSmall, "small", {.special_map = file});
    case 'a':
      return Tokenizer::Impl::from_json(kSmall, "small", {.added = file});
    case 'v':
      return Tokenizer::Impl::from_merges(file, "a b\n", "file", {}, "gpt2");
    case 'w':
      return Tokenizer::Impl::from_merges(R"({"a": 0, "b": 1, "ab": 2})", file, "file", {},
                                          "qwen2");
    default:
      return Tokenizer::Impl::from_json(file, "file", {});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string file(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    use(Tokenizer::Impl::wrap(open(static_cast<char>(data[0]), file)));
  } catch (const Error&) {
  }
  return 0;
}
