// A TextEvaluation as JSON and for a terminal.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "evaluate/views.h"
#include "karat/text_evaluation.h"
#include "karat/version.h"

namespace karat {
namespace {

using nlohmann::ordered_json;

ordered_json json_of(const Perplexity& perplexity, const char* name) {
  return {{name, perplexity.value}, {"standard_error", perplexity.standard_error}};
}

ordered_json json_of(const Evaluation& e) {
  ordered_json json{{"convention", e.convention}, {"windows", e.windows}, {"tokens", e.tokens}};
  if (e.stride > 0) json["stride"] = e.stride;
  json["bos"] = e.bos;
  json["bos_handling"] = e.bos_handling;
  json["perplexity"] = e.perplexity.value;
  json["standard_error"] = e.perplexity.standard_error;
  json["nll"] = e.perplexity.nll;
  if (e.units)
    json["units"] = {{"documents", e.units->documents},
                     {"words", e.units->words},
                     {"bytes", e.units->bytes},
                     {"word", json_of(e.units->word, "perplexity")},
                     {"byte", json_of(e.units->byte, "perplexity")},
                     {"bits_per_byte", e.units->bits_per_byte},
                     {"bits_per_byte_error", e.units->bits_per_byte_error}};
  if (e.rounded)
    json["q8_activations"] = {{"perplexity", e.rounded->perplexity.value},
                              {"standard_error", e.rounded->perplexity.standard_error},
                              {"nll", e.rounded->perplexity.nll},
                              {"difference", e.rounded->difference},
                              {"difference_error", e.rounded->standard_error},
                              {"nll_difference", e.rounded->nll_difference},
                              {"nll_difference_error", e.rounded->nll_standard_error}};
  if (e.cache_check)
    json["cache_check"] = {{"against", e.cache_check->noise ? "noise" : "candidate"},
                           {"exact_kl", e.cache_check->exact},
                           {"cached_kl", e.cache_check->cached},
                           {"rms_difference", e.cache_check->deviation}};
  return json;
}

void add_against(ordered_json& json, const Evaluation& e, const TextEvaluation& result) {
  if (!e.divergence) return;
  const Divergence& kl = *e.divergence;
  json["against"] = {{"model", result.logits ? result.logits->original : result.original},
                     {"perplexity", kl.original.value},
                     {"standard_error", kl.original.standard_error},
                     {"nll", kl.original.nll}};
  add_divergence(json, kl);
}

std::string with_error(const Perplexity& p) {
  return fmt::format("{:.4f} ± {:.4f}", p.value, p.standard_error);
}

std::string divergence_text(const Divergence& kl) {
  return fmt::format(
      "of the original   {}\n"
      "KL to it          mean {:.6f} ± {:.6f}, median {:.6f}\n"
      "                  90 % {:.6f}, 99 % {:.6f}, 99.9 % {:.6f}, max {:.6f}\n"
      "same first choice {:.2f} %, of the first five {:.2f} %\n"
      "probability       of the token that came: RMS change {:.3f} %\n",
      with_error(kl.original), kl.mean, kl.standard_error, kl.median, kl.percentile_90,
      kl.percentile_99, kl.percentile_999, kl.maximum, 100 * kl.top1_agreement,
      100 * kl.top5_agreement, 100 * kl.probability_rms);
}

std::string check_text(const CacheCheck& check) {
  return fmt::format(
      "cached logits     {}: KL {:.6f} by them, {:.6f} by all; RMS difference {:.6f} a token\n",
      check.noise ? "tried on noise" : "on this model", check.cached, check.exact, check.deviation);
}

std::string text_of(const Evaluation& e) {
  std::string text = fmt::format("perplexity        {}\n", with_error(e.perplexity));
  if (e.rounded)
    text +=
        fmt::format("8-bit activations {}, {:+.6f} ± {:.6f}\n", with_error(e.rounded->perplexity),
                    e.rounded->difference, e.rounded->standard_error);
  if (e.units)
    text += fmt::format(
        "per word          {}\nper byte          {}\nbits per byte     {:.4f} ± {:.4f}\n",
        with_error(e.units->word), with_error(e.units->byte), e.units->bits_per_byte,
        e.units->bits_per_byte_error);
  if (e.divergence) text += divergence_text(*e.divergence);
  if (e.cache_check) text += check_text(*e.cache_check);
  text += fmt::format("convention        {}: {} tokens scored in {} windows", e.convention,
                      e.tokens, e.windows);
  if (e.stride > 0) text += fmt::format(", stride {}", e.stride);
  if (e.units)
    text += fmt::format("; {} documents, {} words, {} bytes", e.units->documents, e.units->words,
                        e.units->bytes);
  return text + fmt::format("\nBOS               {}\n", e.bos_handling);
}

}  // namespace

void add_divergence(ordered_json& json, const Divergence& kl) {
  json["kl"] = {{"mean", kl.mean},
                {"standard_error", kl.standard_error},
                {"median", kl.median},
                {"percentile_90", kl.percentile_90},
                {"percentile_99", kl.percentile_99},
                {"percentile_999", kl.percentile_999},
                {"maximum", kl.maximum}};
  json["top1_agreement"] = kl.top1_agreement;
  json["top5_agreement"] = kl.top5_agreement;
  json["probability_rms"] = kl.probability_rms;
}

std::string to_json(const TextEvaluation& result) {
  ordered_json json{{"model", result.model},
                    {"text", result.text},
                    {"text_sha256", result.text_sha256},
                    {"limit", result.limit},
                    {"activations", result.activations}};
  ordered_json list = ordered_json::array();
  for (const Evaluation& evaluation : result.evaluations) {
    ordered_json one = json_of(evaluation);
    add_against(one, evaluation, result);
    list.push_back(std::move(one));
  }
  if (list.size() == 1 && result.skipped.empty())
    json.update(list.front());
  else
    json["evaluations"] = list;
  for (const auto& skipped : result.skipped)
    json["skipped"].push_back({{"convention", skipped.convention}, {"reason", skipped.reason}});
  if (result.logits)
    json["logits"] = {{"file", result.logits->file},
                      {"original", result.logits->original},
                      {"original_sha256", result.logits->original_sha256},
                      {"bytes", result.logits->bytes},
                      {"share_of_f16", result.logits->share}};
  if (result.overlap)
    json["overlap"] = {{"calibration", result.overlap->calibration},
                       {"words", kOverlapWords},
                       {"grams", result.overlap->grams},
                       {"hits", result.overlap->hits},
                       {"share", result.overlap->share()}};
  if (!result.warnings.empty()) json["warnings"] = result.warnings;
  json["karat"] = version();
  if (!result.command.empty()) json["command"] = result.command;
  return json.dump(2) + "\n";
}

std::string to_text(const TextEvaluation& result) {
  std::string text;
  for (const Evaluation& evaluation : result.evaluations) {
    if (!text.empty()) text += '\n';
    text += text_of(evaluation);
  }
  if (result.activations == "q8") text += "activations       q8\n";
  for (const auto& skipped : result.skipped)
    text += fmt::format("\nleft out          {}: {}\n", skipped.convention, skipped.reason);
  if (result.logits)
    text += fmt::format("logits            {} {}: {:.1f} MiB, {:.2f} % of all in F16\n",
                        result.logits->written ? "written to" : "of", result.logits->file,
                        static_cast<double>(result.logits->bytes) / (1 << 20),
                        100 * result.logits->share);
  if (result.overlap && result.overlap->hits == 0)
    text += fmt::format("overlap           none with {} in {} runs of {} words\n",
                        result.overlap->calibration, result.overlap->grams, kOverlapWords);
  return text;
}

}  // namespace karat
