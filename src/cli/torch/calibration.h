// The options of every verb that reads a calibration text.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Option.hpp>
#include <cstdint>
#include <limits>
#include <string>

#include "cli/common.h"
#include "karat/quantize.h"

namespace karat {

/// `samples`: what their default is.
inline void declare_calibration(CLI::App& app, CalibrationRequest& request,
                                const std::string& samples) {
  app.add_option("--calib", request.file, "Calibration text: plain UTF-8, or JSON records");
  app.add_option("--field", request.field, "The key of a JSON record's text")
      ->capture_default_str();
  app.add_option("--samples", request.samples, "Sequences to read (default: " + samples + ")");
  app.add_option("--length", request.length,
                 "Tokens a sequence (default: 2048, or as many as the model knows)");
  app.add_option("--seed", request.seed, "Which sequences of the text are drawn (default: 0)")
      ->check(whole_number(std::numeric_limits<std::int64_t>::max()));
}

}  // namespace karat
