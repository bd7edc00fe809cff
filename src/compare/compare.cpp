// compare: every recipe quantized into a temporary folder, measured, removed; then plain rounding
// of the same sizes.
#include "karat/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "calibrate/memory.h"
#include "compare/plan.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/output.h"
#include "core/temporary.h"
#include "core/threads.h"
#include "evaluate/default_convention.h"
#include "karat/error.h"
#include "pipeline/steps.h"
#include "report/html.h"
#include "run/portrait.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

/// What all rows share.
struct Context {
  const CompareJob& job;
  fs::path work = {};
  Architecture arch = {};
  std::vector<Window> windows = {};
  bool bos = false;
  std::string convention = {};
};

// Runs --------------------------------------------------------------------------------------------

/// Scores the model in `folder`, against the original unless it is that.
CompareRun measure_folder(const Context& c, const fs::path& folder, bool compared) {
  const LanguageModel model = LanguageModel::open(folder);
  std::optional<LanguageModel> original;
  if (compared) original = LanguageModel::open(c.job.model);
  const Portrait portrait = draw_portrait(model);
  CompareRun run{.file_bytes = portrait.file_bytes};
  run.bits = static_cast<double>(portrait.layer_bits) / static_cast<double>(portrait.layer_weights);
  run.file_bits =
      8 * static_cast<double>(portrait.file_bytes) / static_cast<double>(portrait.parameters);
  run.evaluation = evaluate(model, c.windows, original ? &*original : nullptr, c.job.progress);
  run.evaluation.convention = c.convention;
  run.evaluation.bos = c.bos;
  return run;
}

void run_once(const Context& c, std::optional<std::int64_t> seed, RowPlan& plan) {
  const TemporaryFolder folder(c.work);
  QuantizeJob job{.model = c.job.model,
                  .out = folder.path / "model",
                  .method = plan.recipe.method,
                  .overrides = plan.recipe.overrides,
                  .progress = c.job.progress};
  if (seed) {
    job.calibration = c.job.calibration;
    job.calibration.seed = seed;
  }
  const bool fresh = reset_resident_peak();
  const QuantizeReport report = quantize(job);
  const auto peak = fresh ? resident_peak() : std::nullopt;
  if (report.calibration) {
    plan.row.samples = report.calibration->ids.size(0);
    plan.row.length = report.calibration->ids.size(1);
  }
  CompareRun run = measure_folder(c, job.out, true);
  run.seed = seed;
  run.seconds = report.seconds;
  run.peak_bytes = peak;
  plan.row.runs.push_back(std::move(run));
}

void run_plan(const Context& c, RowPlan& plan) {
  if (!plan.made.needs().any()) return run_once(c, {}, plan);
  for (std::int64_t seed = 1; seed <= c.job.seeds; ++seed) run_once(c, seed, plan);
}

/// As run_plan. A file of another size than foreseen, because the work itself chose the weights to
/// keep, teaches what to foresee: the recipe is fitted and run again, at most five times.
void run_to_size(const Context& c, const std::optional<double>& target, RowPlan& plan) {
  constexpr double kClose = 0.02;  // bits per weight
  const auto fits = [&](const RowPlan& p) { return p.row.bits().mean <= *target + 1e-6; };
  run_plan(c, plan);
  for (int again = 0; target && again < 5; ++again) {
    const double beyond = plan.row.bits().mean - plan.row.predicted_bits;
    if (fits(plan) && -beyond < kClose) return;
    RowPlan next = plan;
    next.size.beyond += beyond;
    if (fit_to(c.arch, *target, next)) return;
    if (next.recipe.overrides == plan.recipe.overrides) return;
    next.row.runs.clear();
    run_plan(c, next);
    const bool nearer = fits(next) && next.row.bits().mean > plan.row.bits().mean;
    if (fits(plan) && !nearer) return;
    plan = std::move(next);
  }
}

/// Runs the original and the plans, then the plain roundings that their sizes ask for.
std::vector<CompareRow> run_all(const Context& c, const std::optional<double>& target,
                                std::vector<RowPlan> plans) {
  std::vector<RowPlan> expected = plans;
  auto total = static_cast<std::int64_t>(1 + plans.size() + plan_uniform(c.arch, expected).size());
  std::int64_t done = 0;
  const auto announce = [&](const std::string& name) {
    if (c.job.announce) c.job.announce(++done, total, name);
  };
  std::vector<CompareRow> rows(1);
  rows[0] = {.kind = CompareRow::Kind::original, .name = "original"};
  announce(rows[0].name);
  rows[0].runs.push_back(measure_folder(c, c.job.model, false));
  for (RowPlan& plan : plans) {
    announce(plan.row.name);
    run_to_size(c, target, plan);
  }
  std::vector<RowPlan> added = plan_uniform(c.arch, plans);  // of the sizes as counted
  total = static_cast<std::int64_t>(1 + plans.size() + added.size());
  for (RowPlan& plan : added) {
    announce(plan.row.name);
    run_plan(c, plan);
  }
  for (RowPlan& plan : plans) rows.push_back(std::move(plan.row));
  for (RowPlan& plan : added) rows.push_back(std::move(plan.row));
  return rows;
}

// Before and after --------------------------------------------------------------------------------

/// Reads the longest calibration text that a recipe wants, so that a bad one stops us now.
void check_calibration(const Context& c, const std::vector<RowPlan>& plans, CompareReport& report) {
  if (c.job.calibration.seed) fail("compare", "--seed", "none", "--seeds says how many there are");
  Needs needs;
  Recipe longest;
  for (const RowPlan& plan : plans) {
    if (!plan.made.needs().any()) continue;
    needs = needs | plan.made.needs();
    longest.samples = std::max(longest.samples, plan.made.recipe.samples);
    longest.length = std::max(longest.length, plan.made.recipe.length);
  }
  CalibrationRequest request = c.job.calibration;
  if (needs.any()) request.seed = 1;
  const CalibrationSet set = calibrate({c.job.model, c.arch, {}}, needs, longest, request);
  report.calibration = set.file;
  report.calibration_sha256 = set.sha256;
}

void read_text_to_score(Context& c, CompareReport& report) {
  const bool chosen = !c.job.convention.empty();
  const Convention& convention = find_convention(chosen ? c.job.convention : kDefaultConvention);
  const Tokenizer tokenizer = Tokenizer::open(c.job.model);
  const TextFile file = TextFile::open(c.job.text, c.job.calibration.field);
  c.windows = cut_windows(convention, tokenizer, named_text(c.job.text, file), c.arch.max_positions,
                          c.job.limit);
  file.check();
  c.bos = tokenizer.bos().has_value();
  c.convention = convention.name;
  report.text = c.job.text.filename().string();
  report.text_sha256 = sha256(file.bytes());
  report.convention = convention.name;
  report.windows = static_cast<std::int64_t>(c.windows.size());
  if (!chosen)
    for (const std::string& line : few_windows_notice(named_text(c.job.text, file), report.windows,
                                                      c.arch.max_positions, c.job.limit))
      report.warnings.push_back(line);
  for (const Window& window : c.windows) report.tokens += window.scored();
  report.bos = c.bos;
}

void open_original(Context& c, CompareReport& report) {
  const LanguageModel original = LanguageModel::open(c.job.model);
  if (original.quantization())
    fail("compare " + c.job.model.string(), "a quantized model", "an original one");
  c.arch = original.architecture();
  report.warnings = c.arch.warnings;
  report.model = fs::weakly_canonical(c.job.model).filename().string();
  report.isa = draw_portrait(original).isa;
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name") && line.find(": ") != line.npos)
      return line.substr(line.find(": ") + 2);
  return "unknown CPU";
}

void describe_machine(CompareReport& report) {
  report.cpu = cpu_name();
  report.cores = core_count();
  report.threads = thread_count();
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  report.date = text;
}

/// What keeps `file` from being a to_json() of compare; empty: nothing.
std::string not_comparison(const fs::path& file) try {
  const auto json = nlohmann::json::parse(read_text(file));
  return json.contains("machine") && json.contains("rows") ? "" : "no comparison in it";
} catch (const std::exception&) {
  return "no comparison in it";
}

Output page_output(const CompareJob& job) {
  return {.path = job.html,
          .replace = job.replace,
          .inputs = {job.model, job.text, job.calibration.file},
          .not_former = report::not_a_page};
}
Output json_output(const CompareJob& job) {
  Output output = page_output(job);
  output.path = job.report;
  output.not_former = not_comparison;
  return output;
}

void check_outputs(const CompareJob& job) {
  if (!job.html.empty()) check_output(page_output(job), OutputKind::file);
  if (!job.report.empty()) check_output(json_output(job), OutputKind::file);
  if (!job.html.empty() && fs::weakly_canonical(job.html) == fs::weakly_canonical(job.report))
    fail("compare", "one file for page and report", "two names");
}

/// The ratios to plain rounding, what broke the target, and the order.
void conclude(CompareReport& report) {
  for (CompareRow& row : report.rows) {
    for (const CompareRow& other : report.rows)
      if (!row.uniform.empty() && other.name == row.uniform && other.kl().mean > 0)
        row.vs_uniform = row.kl().mean / other.kl().mean;
    const bool chosen = report.target_bits && row.kind == CompareRow::Kind::method;
    if (chosen && row.note.empty() && row.bits().mean > *report.target_bits + 1e-6)
      row.note = fmt::format("{:.4f} bits above the target", row.bits().mean - *report.target_bits);
  }
  const auto key = [&](const CompareRow& row) {
    return std::pair(report.target_bits ? 0 : row.code_bits, row.kl().mean);
  };
  std::stable_sort(report.rows.begin() + 1, report.rows.end(),
                   [&](const CompareRow& a, const CompareRow& b) { return key(a) < key(b); });
}

}  // namespace

CompareReport compare(const CompareJob& job) {
  check_outputs(job);
  if (job.seeds < 1 || job.seeds > 1000)
    fail("compare", fmt::format("{} seeds", job.seeds), "1 to 1000");
  Context context{.job = job, .work = job.work.empty() ? fs::temp_directory_path() : job.work};
  CompareReport report{.seeds = job.seeds};
  open_original(context, report);
  std::vector<RowPlan> plans = plan_rows(context.arch, job.recipes);
  if (job.equal_bits || job.target_bits)
    report.target_bits = equalize(context.arch, job.target_bits, plans);
  read_text_to_score(context, report);
  check_calibration(context, plans, report);
  { const TemporaryFolder trial(context.work); }  // whether one can be made
  describe_machine(report);
  report.rows = run_all(context, report.target_bits, std::move(plans));
  conclude(report);
  if (!job.html.empty()) write_output(page_output(job), to_html(report));
  if (!job.report.empty()) write_output(json_output(job), to_json(report));
  return report;
}

}  // namespace karat
