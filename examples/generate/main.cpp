// Opens a model folder, original or quantized, and continues a prompt with its most likely words.
#include <karat/error.h>
#include <karat/language_model.h>

#include <iostream>

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: generate MODEL PROMPT\n";
    return 2;
  }
  const auto model = karat::LanguageModel::open(argv[1]);
  const auto tokenizer = karat::Tokenizer::open(argv[1]);
  karat::Session session(model);
  karat::Sampler sampler({.temperature = 0});
  karat::TokenStream text(tokenizer);

  std::vector<karat::TokenId> ids = tokenizer.encode(argv[2]);
  for (int i = 0; i < 32; ++i) {
    const karat::TokenId next = sampler.next(session.next_logits(ids));
    std::cout << text.push(next) << std::flush;
    ids = {next};
  }
  std::cout << '\n';
} catch (const karat::Error& error) {
  std::cerr << error.what() << '\n';
  return 2;
}
