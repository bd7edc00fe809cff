// Opens a model folder, original or quantized, and continues a prompt with its most likely words.
#include <karat/error.h>
#include <karat/generate.h>

#include <iostream>

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: generate MODEL PROMPT\n";
    return 2;
  }
  const auto model = karat::LanguageModel::open(argv[1]);
  const auto tokenizer = karat::Tokenizer::open(argv[1]);
  karat::Engine engine(model);
  karat::Generation wanted{.prompt = tokenizer.encode(argv[2]), .max_new = 32};
  wanted.sampling.temperature = 0;
  wanted.on_piece = [](std::string_view piece) {
    std::cout << piece << std::flush;
    return true;  // false would end the text here
  };
  karat::generate(engine, tokenizer, wanted);
  std::cout << '\n';
} catch (const karat::Error& error) {
  std::cerr << error.what() << '\n';
  return 2;
}
