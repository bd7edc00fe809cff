// Quantizes a model folder with a recipe that no paper has: GWQ's outliers chosen by |g·w|.
#include <karat/error.h>
#include <karat/quantize.h>

#include <iostream>

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::cerr << "usage: quantize MODEL CALIBRATION_TEXT OUT\n";
    return 2;
  }
  const karat::QuantizeReport report = karat::quantize({
      .model = argv[1],
      .out = argv[3],
      .method = "gwq",
      .overrides = {.metric = "gradient:key=gw", .bits = "3"},
      .calibration = {.file = argv[2]},
  });
  std::cout << report.layers.size() << " layers at " << report.layer_bits << " bits per weight\n";
} catch (const karat::Error& error) {
  std::cerr << error.what() << '\n';
  return 2;
}
