#include "report/data.h"

#include <algorithm>
#include <set>

#include "core/file.h"
#include "core/hash.h"
#include "karat/error.h"
#include "load/json.h"

namespace karat::report {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Kind = SourceFile::Kind;
constexpr std::uintmax_t kMostBytes = 64u << 20;  // of a report; tokenizers may be as large

std::optional<Kind> kind_of(const json& content) {
  const auto has = [&](const char* key) { return look(content, {key}) != nullptr; };
  if (has("rows") && has("machine")) return Kind::compare;
  if (has("tensors") && has("recipe")) return Kind::quantize;
  if (has("tensors") && has("metric")) return Kind::measure;
  if (has("results") && has("model")) return Kind::tasks;
  if (has("model") && (has("perplexity") || has("evaluations"))) return Kind::evaluation;
  return {};
}

/// The files of a Hugging Face folder, which are no reports whatever they hold.
bool is_model_file(const std::string& name) {
  static const std::set<std::string> kNames = {"config.json",
                                               "tokenizer.json",
                                               "tokenizer_config.json",
                                               "vocab.json",
                                               "special_tokens_map.json",
                                               "generation_config.json",
                                               "added_tokens.json",
                                               "model.safetensors.index.json"};
  return kNames.contains(name);
}

std::vector<fs::path> json_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const fs::path& path = entry.path();
    if (path.extension() == ".json" && entry.is_regular_file() &&
        !is_model_file(path.filename().string()) && entry.file_size() <= kMostBytes)
      files.push_back(path);
  }
  std::sort(files.begin(), files.end());
  return files;
}

fs::path without_slash(fs::path path) {
  return path.has_filename() ? path : path.parent_path();
}

bool holds_model(const fs::path& folder) {
  return fs::exists(folder / "config.json") &&
         (fs::exists(folder / "model.safetensors") ||
          fs::exists(folder / "model.safetensors.index.json"));
}

void add_folder(ReportData& data, const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    fail("report " + folder.string(), "no folder", "a folder with reports");
  const std::size_t before = data.files.size();
  ModelFolder model{.name = without_slash(fs::absolute(folder).lexically_normal()).filename(),
                    .path = fs::canonical(folder)};
  for (const fs::path& file : json_files(folder)) {
    const std::string content = read_text(file);
    json parsed = parse_json(content, file.string());
    const auto kind = kind_of(parsed);
    if (!kind) continue;
    data.files.push_back(std::make_unique<SourceFile>(SourceFile{
        *kind, file.string(), sha256(std::as_bytes(std::span(content.data(), content.size()))),
        std::move(parsed)}));
    if (file.filename() == "karat_report.json") model.quantize = &data.files.back()->json;
  }
  if (holds_model(folder)) model.portrait = draw_portrait(LanguageModel::open(folder));
  if (data.files.size() == before && !model.portrait)
    fail("report " + folder.string(), "no report", "karat_report.json or what --json printed");
  if (model.portrait || model.quantize) data.models.push_back(std::move(model));
}

void name_apart(std::vector<ModelFolder>& models) {
  for (ModelFolder& model : models) {
    const std::string name = model.name;
    const auto same = [&](const ModelFolder& other) { return other.name == name; };
    if (std::count_if(models.begin(), models.end(), same) < 2) continue;
    for (ModelFolder& other : models)
      if (other.name == name) other.name = other.path.string();
  }
}

const ModelFolder* find_folder(const ReportData& data, const std::string& path) {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(path, error);
  for (const ModelFolder& model : data.models)
    if (model.path == canonical) return &model;
  // Written elsewhere, then moved: the name has to do, where one folder alone has it.
  const ModelFolder* named = nullptr;
  for (const ModelFolder& model : data.models) {
    if (model.path.filename() != without_slash(path).filename()) continue;
    if (named != nullptr) return nullptr;
    named = &model;
  }
  return named;
}

std::optional<Estimate> estimate(const json& json, Path value, Path error) {
  const auto found = number(json, value);
  if (!found) return {};
  return Estimate{*found, number(json, error).value_or(0)};
}

bool is_plain(const json& report) {
  return text(report, {"recipe", "method"}) == "rtn";
}

/// `whole` is the file, `one` the numbers of one convention.
Measurement evaluation_of(const ReportData& data, const json& whole, const json& one) {
  const ModelFolder* folder = find_folder(data, text(whole, {"model"}));
  Measurement m{.name = model_name(data, whole, {"model"}),
                .bits = folder != nullptr ? folder->bits() : std::nullopt,
                .convention = text(one, {"convention"}),
                .text = text(whole, {"text"}),
                .text_sha256 = text(whole, {"text_sha256"}),
                .tokens = number(one, {"tokens"}).value_or(0),
                .perplexity = estimate(one, {"perplexity"}, {"standard_error"}),
                .kl = estimate(one, {"kl", "mean"}, {"kl", "standard_error"}),
                .json = &one};
  if (folder != nullptr && folder->quantize == nullptr) m.kind = Measurement::Kind::original;
  if (folder != nullptr && folder->quantize != nullptr && is_plain(*folder->quantize))
    m.kind = Measurement::Kind::plain;
  return m;
}

Measurement row_of(const json& whole, const json& row) {
  Measurement m{
      .name = text(row, {"name"}),
      .bits = number(row, {"bits_per_weight"}),
      .convention = text(whole, {"convention"}),
      .text = text(whole, {"text", "file"}),
      .text_sha256 = text(whole, {"text", "sha256"}),
      .tokens = number(whole, {"tokens"}).value_or(0),
      .perplexity = estimate(row, {"perplexity", "mean"}, {"perplexity", "standard_error"}),
      .kl = estimate(row, {"kl", "mean"}, {"kl", "standard_error"})};
  const std::string kind = text(row, {"kind"});
  if (kind == "original") m.kind = Measurement::Kind::original;
  if (kind == "uniform" || is_plain(row)) m.kind = Measurement::Kind::plain;
  const auto runs = objects(row, {"runs"});
  if (runs.size() == 1) m.json = runs.front();  // the mean of several has no quantiles
  return m;
}

void gather_measurements(ReportData& data) {
  for (const auto& file : data.files) {
    const json& content = file->json;
    if (file->kind == Kind::compare)
      for (const json* row : objects(content, {"rows"}))
        data.measurements.push_back(row_of(content, *row));
    if (file->kind != Kind::evaluation) continue;
    if (look(content, {"perplexity"}) != nullptr)
      data.measurements.push_back(evaluation_of(data, content, content));
    for (const json* one : objects(content, {"evaluations"}))
      data.measurements.push_back(evaluation_of(data, content, *one));
  }
}

}  // namespace

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::quantize:
      return "quantize";
    case Kind::measure:
      return "measure";
    case Kind::compare:
      return "compare";
    case Kind::evaluation:
      return "evaluate";
    case Kind::tasks:
      return "tasks";
  }
  return "";
}

std::optional<double> ModelFolder::bits() const {
  if (portrait && portrait->layer_weights > 0)
    return static_cast<double>(portrait->layer_bits) / static_cast<double>(portrait->layer_weights);
  return quantize != nullptr ? number(*quantize, {"bits_per_weight"}) : std::nullopt;
}

std::vector<const SourceFile*> ReportData::of_kind(Kind kind) const {
  std::vector<const SourceFile*> found;
  for (const auto& file : files)
    if (file->kind == kind) found.push_back(file.get());
  return found;
}

std::string model_name(const ReportData& data, const json& content, Path path) {
  const std::string said = text(content, path);
  if (const ModelFolder* folder = find_folder(data, said)) return folder->name;
  return without_slash(said).filename().string();
}

ReportData gather_report(std::span<const fs::path> folders) {
  if (folders.empty()) fail("report", "no folder", "at least one");
  ReportData data;
  for (const fs::path& folder : folders) add_folder(data, folder);
  name_apart(data.models);
  gather_measurements(data);
  return data;
}

}  // namespace karat::report
