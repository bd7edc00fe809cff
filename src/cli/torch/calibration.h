// The options of every verb that reads a calibration text.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>

#include "karat/quantize.h"

namespace karat {

inline void declare_calibration(CLI::App& app, CalibrationRequest& request) {
  app.add_option("--calib", request.file, "Calibration text: .txt, or .jsonl with a `text` field");
  app.add_option("--samples", request.samples, "Sequences to read (default: the method's)");
  app.add_option("--length", request.length,
                 "Tokens a sequence (default: 2048, or as many as the model knows)");
  app.add_option("--seed", request.seed, "Which sequences of the text are drawn (default: 0)")
      ->check(CLI::NonNegativeNumber);
}

}  // namespace karat
