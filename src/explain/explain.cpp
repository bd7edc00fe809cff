// `karat measure --explain`: Tables 1, 2 and 3 of the PQI paper for any model.
#include "explain/explain.h"

#include <nlohmann/json.hpp>
#include <set>

#include "core/temporary.h"
#include "karat/error.h"
#include "pipeline/identity.h"
#include "pipeline/look_back.h"
#include "pipeline/report.h"
#include "recipe/quadrature.h"

namespace karat {
namespace {

constexpr double kParts[] = {1e-1, 5e-2, 1e-2, 5e-3, 1e-3};  // the paper's

class Explainer {
 public:
  Explainer(const Source& model, const CalibrationSet& text, const DecodeBlock& quantized,
            const std::vector<PathNode>& nodes, const std::vector<std::int64_t>& intervals,
            const ProgressFn& progress)
      : model_(model),
        text_(text),
        nodes_(nodes),
        intervals_(intervals),
        all_{quantized},
        stage_("explain", sweeps(), progress) {
    start_ = loss(all_, 0);
  }

  ExplainReport report() {
    ExplainReport report;
    report.loss = start_;
    for (std::size_t block = 0; block < model_.arch.blocks.size(); ++block)
      report.blocks.push_back(alone(block));
    LossChange& all = report.all = measured(all_, slope(0).total());
    for (const PathNode& node : nodes_) all.path += node.weight * slope(node.at).total();
    for (const double at : kParts)
      report.parts.push_back({at, at * all.first, at * at * all.second, loss(all_, at) - start_});
    for (const std::int64_t count : intervals_) report.rules.push_back(rules(count));
    return report;
  }

 private:
  std::size_t sweeps() const {
    std::set<double> points = {0.0};
    const auto add = [&](const std::vector<PathNode>& nodes) {
      for (const PathNode& node : nodes) points.insert(node.at);
    };
    add(nodes_);
    for (const std::int64_t count : intervals_) {
      add(path_nodes("midpoint", count));
      if (count > 1) add(path_nodes("mean_endpoints", count));
    }
    return 1 + model_.arch.blocks.size() * (nodes_.size() + 3) + 3 + points.size() +
           std::size(kParts);
  }

  double loss(const Segment& segment, double at) {
    return loss_at(model_, segment, text_, at, stage_.next());
  }

  LossChange measured(const Segment& segment, double first) {
    return {.first = first,
            .second = second_order(model_, segment, text_, start_, stage_),
            .measured = loss(segment, 1) - start_};
  }

  LossChange alone(std::size_t block) {
    const Segment segment{all_.quantized, block};
    LossChange change = measured(segment, slope(0).blocks[block]);
    for (const auto& [at, weight] : nodes_)
      change.path += weight * slope_at(model_, segment, text_, at, {}, stage_.next()).blocks[block];
    return change;
  }

  /// Of all blocks; points that several rules share are computed once.
  const Slope& slope(double at) {
    const auto found = slopes_.find(at);
    if (found != slopes_.end()) return found->second;
    return slopes_[at] = slope_at(model_, all_, text_, at, {}, stage_.next());
  }

  RuleComparison rules(std::int64_t count) {
    const auto integral = [&](const std::string& rule) {
      double sum = 0;
      for (const auto& [at, weight] : path_nodes(rule, count)) sum += weight * slope(at).total();
      return sum;
    };
    RuleComparison row{.intervals = count, .midpoint = integral("midpoint")};
    if (count > 1) row.mean_endpoints = integral("mean_endpoints");
    return row;
  }

  const Source& model_;
  const CalibrationSet& text_;
  const std::vector<PathNode>& nodes_;
  const std::vector<std::int64_t>& intervals_;
  const Segment all_;
  Stage stage_;
  double start_ = 0;  // the loss at w
  std::map<double, Slope> slopes_;
};

nlohmann::ordered_json change_json(const LossChange& change) {
  return {{"first_order", change.first},
          {"second_order", change.second},
          {"path", change.path},
          {"measured", change.measured}};
}

}  // namespace

std::string to_json(const ExplainReport& report) {
  using nlohmann::ordered_json;
  ordered_json blocks = ordered_json::array(), parts = blocks, rules = blocks;
  for (const LossChange& block : report.blocks) blocks.push_back(change_json(block));
  for (const PartOfWay& part : report.parts)
    parts.push_back({{"at", part.at},
                     {"first_order", part.first},
                     {"second_order", part.second},
                     {"measured", part.measured}});
  for (const RuleComparison& row : report.rules)
    rules.push_back({{"intervals", row.intervals},
                     {"midpoint", row.midpoint},
                     {"mean_endpoints",
                      row.mean_endpoints ? ordered_json(*row.mean_endpoints) : ordered_json()}});
  ordered_json json = {
      {"model", report.model},   {"quantized", report.quantized},
      {"metric", report.metric}, {"calibration", calibration_json(report.calibration, report.loss)},
      {"blocks", blocks},        {"all", change_json(report.all)},
      {"parts", parts},          {"rules", rules}};
  if (!report.warnings.empty()) json["warnings"] = report.warnings;
  return json.dump(2) + "\n";
}

ExplainReport explain(const Source& model, const CalibrationSet& text, const DecodeBlock& quantized,
                      const std::vector<PathNode>& nodes,
                      const std::vector<std::int64_t>& intervals, const ProgressFn& progress) {
  return Explainer(model, text, quantized, nodes, intervals, progress).report();
}

ExplainReport explain(const ExplainJob& job) {
  const Assembled recipe = metric_alone(job.metric, job.grid);
  if (recipe.metric.path.empty())
    fail("explain", "metric " + job.metric, "one with a path", "use --metric pqi");
  for (const std::int64_t count : job.intervals)
    if (count < 1) fail("explain", std::to_string(count) + " intervals", "at least 1");
  const Source model = load(job.model);
  const Needs needs = recipe.metric.needs | rounding(recipe).needs();
  const CalibrationSet text = calibrate(model, needs, recipe.recipe, job.calibration);
  check_finite(model);
  const TemporaryFolder folder;
  const Work work(folder.path / "work", identity_of_work(model, recipe, text));
  const BlockStore blocks = quantization_of(model, recipe, text, job.quantized, work, job.progress);
  ExplainReport report =
      explain(model, text, decoder(blocks), recipe.metric.path, job.intervals, job.progress);
  report.model = model.name();
  report.quantized = name_of_quantization(recipe, job.quantized);
  report.metric = recipe.recipe.metric.text;
  report.calibration = text;
  report.warnings = model.arch.warnings;
  return report;
}

}  // namespace karat
