// karat quantize: Makes a model smaller: rounds weights to few bits, more where errors cost more
#include <CLI/App.hpp>
#include <memory>

#include "cli/torch/quantize/arguments.h"

namespace karat {
namespace {

constexpr const char* kQuantizeHelp =
    R"(Makes a model smaller: rounds weights to few bits, more where errors cost more

  karat quantize models/karat-tiny --calib text.txt --out small
  karat quantize models/karat-tiny --size 2MB --calib text.txt --out small
  karat quantize models/karat-tiny --method gptq --bits 4 --group 64 --calib text.txt --out small

The default method gives every layer codes of its own width and keeps no weight at FP16; methods
with a selector or a detach step keep some. A method is one value on each of a few axes, --metric to
--tuner below; `karat methods` lists both. Any axis can be replaced, so methods that no paper has
are one flag away:

  karat quantize models/karat-tiny --method gwq --grid nf4 --solver gptq --calib text.txt --out new

--bits 3.4 is a mean: every layer gets codes of 2 to 4 bits (trellis, uniform: to 5), wider ones
where an error costs more. The method karat does so with whole --bits too.

--ends 8 rounds the embedding and the head as well, which else stay as they are.

--size 90MB says what the weight files may take, --file-bits 4.5 the same per parameter, all that
they hold counted. Layers, and embedding and head where the method rounds them, get codes of 2 to 8
bits, in the mix that loses least. It takes a method of mixed widths: karat, or widths=mixed with
any grid of several. --dry-run quantizes nothing and leaves OUT alone: it prints what each part
would get, the size, and the loss to expect. The first dry run measures the model and leaves what it
found in OUT.work, so others, of whatever size, take seconds, and quantizing goes on from there:

  karat quantize models/karat-tiny --size 2MB --calib text.txt --out small --dry-run

The output folder holds config.json, the packed weights, the tokenizer and karat_report.json. Its
bytes, times aside, depend on the model, the text, the recipe and the seed alone. Finished blocks
are kept in OUT.work until all is done: when the work is interrupted, the same command continues
after them, and another is refused unless --force discards them.)";

}  // namespace

Action quantize_verb(CLI::App& app) {
  app.description(kQuantizeHelp);
  auto arguments = std::make_shared<QuantizeArguments>();
  declare_quantize(app, *arguments);
  return [arguments] { run_quantize(*arguments); };
}

}  // namespace karat
