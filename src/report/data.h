// What a report is made of, gathered from the JSON files of folders.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "report/lookup.h"
#include "run/portrait.h"

namespace karat::report {

struct SourceFile {
  enum class Kind { quantize, measure, compare, evaluation, tasks } kind;
  std::string path, sha256;
  nlohmann::json json;
};
const char* kind_name(SourceFile::Kind kind);

/// A model's folder.
struct ModelFolder {
  std::string name;  // of the folder; with its parents where two would be the same
  std::filesystem::path path;
  std::optional<Portrait> portrait = {};     // where weights lie in the folder
  const nlohmann::json* quantize = nullptr;  // its karat_report.json
  std::optional<double> bits() const;        // per weight of the linear layers
};

struct Estimate {
  double value = 0, error = 0;  // error: one standard error
};
/// One model on one text under one convention.
struct Measurement {
  enum class Kind { original, method, plain } kind = Kind::method;  // plain: of plain rounding
  std::string name;
  std::optional<double> bits;  // per weight of the linear layers
  std::string convention, text, text_sha256;
  double tokens = 0;
  std::optional<Estimate> perplexity, kl;
  const nlohmann::json* json = nullptr;  // of the evaluation, if it is one

  bool comparable(const Measurement& other) const {
    return convention == other.convention && text_sha256 == other.text_sha256 &&
           tokens == other.tokens;
  }
};

struct ReportData {
  std::vector<std::unique_ptr<SourceFile>> files;
  std::vector<ModelFolder> models;
  std::vector<Measurement> measurements;  // in the order of files

  std::vector<const SourceFile*> of_kind(SourceFile::Kind kind) const;
};
ReportData gather_report(std::span<const std::filesystem::path> folders);

/// The name of the model that a file speaks of: a folder's, else the last part of what it says.
std::string model_name(const ReportData& data, const nlohmann::json& json, Path path);

}  // namespace karat::report
