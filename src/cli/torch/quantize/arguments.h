// What the verbs that write a quantized folder share: their flags, and what they print.
#pragma once

#include <CLI/App.hpp>

#include "cli/common.h"
#include "karat/quantize.h"

namespace karat {

struct QuantizeArguments {
  QuantizeJob job;
  bool dry_run = false, json = false;
};

void declare_quantize(CLI::App& app, QuantizeArguments& arguments);
/// Quantizes, or plans to, and prints what came of it.
void run_quantize(QuantizeArguments& arguments);

}  // namespace karat
