// compare: every recipe quantized into a temporary folder, measured, removed; then plain rounding
// of the same sizes.
#include "karat/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fstream>
#include <utility>

#include "calibrate/memory.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/temporary.h"
#include "core/threads.h"
#include "karat/error.h"
#include "pipeline/sizes.h"
#include "pipeline/steps.h"
#include "run/portrait.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

/// A row that waits for its turn.
struct Plan {
  CompareRecipe recipe = {};
  Assembled made = {};
  StoredSize size = {};
  CompareRow row = {};
};

/// What all rows share.
struct Context {
  const CompareJob& job;
  fs::path work = {};
  Architecture arch = {};
  std::vector<Window> windows = {};
  bool bos = false;
  std::string convention = {};
};

// Plans -------------------------------------------------------------------------------------------

/// Assembles the recipe; an error names the row that it is about.
void assemble_plan(const Architecture& arch, Plan& plan) try {
  plan.made = assemble(find_method(plan.recipe.method), plan.recipe.overrides);
  const double beyond = plan.size.beyond;
  plan.size = size_of(plan.made);
  plan.size.beyond = beyond;
  plan.row.recipe = plan.made.recipe;
  plan.row.code_bits = plan.size.layout.bits;
  plan.row.predicted_bits = predicted_bits(arch, plan.size);
} catch (const Error& error) {
  throw Error(fmt::format("compare {}, {}", plan.recipe.label, error.what()));
}

std::vector<Plan> plan_rows(const Architecture& arch, const std::vector<CompareRecipe>& recipes) {
  std::vector<Plan> plans;
  for (const CompareRecipe& recipe : recipes) {
    Plan plan{.recipe = recipe};
    assemble_plan(arch, plan);
    plan.row.name = fmt::format("{} {} bits", recipe.label, plan.row.code_bits);
    for (const Plan& other : plans)
      if (other.row.name == plan.row.name)
        fail("compare", fmt::format("two recipes called {}", plan.row.name), "one of a name",
             "give them labels with --recipe label=…");
    plans.push_back(std::move(plan));
  }
  if (plans.empty()) fail("compare", "no recipe", "at least one");
  return plans;
}

void set_group(Plan& plan, std::int64_t group) {
  Overrides& o = plan.recipe.overrides;
  const std::string text = std::to_string(group);
  if (o.grid.empty()) {
    o.group = text;
    return;
  }
  const std::size_t colon = o.grid.find(':');
  const std::string options = colon == std::string::npos ? "" : o.grid.substr(colon + 1);
  o.grid = o.grid.substr(0, colon) + ":" + Options::with(options, "group", text);
  o.group.clear();
}

void set_ratio(Plan& plan, double ratio) {
  Overrides& o = plan.recipe.overrides;
  const std::string text = number_text(ratio);
  if (plan.made.detach.ratio > 0) {
    o.detach = ratio > 0 ? Options::with(plan.row.recipe.detach, "ratio", text) : "none";
    return;
  }
  const std::string& full = plan.row.recipe.selector.text;
  const std::size_t colon = full.find(':');
  o.selector = full.substr(0, colon) + ":" + Options::with(full.substr(colon + 1), "ratio", text);
  o.ratio.clear();
}

/// Bits that a plan takes at least, whatever its group or its kept weights, where those are more
/// than the target.
using TooLarge = std::optional<double>;

/// Chooses what sets the recipe's size, its grid's group or, without one, how many weights are
/// kept, so that it comes closest to the target from below. Leaves a plan too large as it is.
TooLarge fit_to(const Architecture& arch, double target, Plan& plan) {
  const bool grouped = option_of(plan.row.recipe.grid.text, "group").has_value();
  const bool kept = plan.made.detach.ratio > 0 || option_of(plan.row.recipe.selector.text, "ratio");
  StoredSize least = plan.size;
  if (grouped) {
    if (const auto group = group_for(arch, plan.size, target)) {
      set_group(plan, *group);
      assemble_plan(arch, plan);
      return {};
    }
    least.layout.group = 0;
  } else if (kept) {
    if (const auto ratio = ratio_for(arch, plan.size, target)) {
      set_ratio(plan, *ratio);
      assemble_plan(arch, plan);
      return {};
    }
    least.ratio = 0;
  } else {
    plan.row.note = "nothing sets its size but its bits";
    return {};
  }
  return predicted_bits(arch, least);
}

/// Fits every recipe to the target; returns the target.
double equalize(const Architecture& arch, const std::optional<double>& wanted,
                std::vector<Plan>& plans) {
  double target = wanted.value_or(0);
  if (!wanted)
    for (const Plan& plan : plans) target = std::max(target, plan.row.predicted_bits);
  for (Plan& plan : plans)
    if (const TooLarge least = fit_to(arch, target, plan))
      fail("compare " + plan.row.name, fmt::format("{:.3f} bits per weight at least", *least),
           fmt::format("at most {:.3f}", target), "lower its --bits or raise --target-bits");
  return target;
}

/// Plain rounding with codes as wide, in groups that take at most `bits` per weight.
Plan uniform_plan(const Architecture& arch, std::int64_t code_bits, std::int64_t group) {
  Plan plan{.recipe = {.label = "uniform", .method = "rtn"}};
  plan.recipe.overrides.grid = fmt::format("uniform:bits={},group={}", code_bits, group);
  assemble_plan(arch, plan);
  plan.row.kind = CompareRow::Kind::uniform;
  plan.row.name = group > 0 ? fmt::format("uniform {} bits g{}", code_bits, group)
                            : fmt::format("uniform {} bits rows", code_bits);
  return plan;
}

bool same_recipe(const Recipe& a, const Recipe& b) {
  return a.metric.text == b.metric.text && a.selector.text == b.selector.text &&
         a.transform.text == b.transform.text && a.grid.text == b.grid.text &&
         a.solver.text == b.solver.text;
}

/// Names in every row the plain rounding of its size, and returns those that are not rows already.
std::vector<Plan> plan_uniform(const Architecture& arch, std::vector<Plan>& plans) {
  std::vector<Plan> added;
  for (Plan& plan : plans) {
    const PackedLayout& own = plan.size.layout;
    if (same_recipe(plan.row.recipe, uniform_plan(arch, own.bits, own.group).row.recipe)) continue;
    const double bits = plan.row.runs.empty() ? plan.row.predicted_bits : plan.row.bits().mean;
    const StoredSize plain{.layout = {.bits = own.bits, .group = own.group}};
    const auto group = group_for(arch, plain, bits);
    Plan uniform = uniform_plan(arch, own.bits, group.value_or(0));
    if (!group && plan.row.note.empty()) plan.row.note = "smaller than any plain rounding";
    const auto find_in = [&](const std::vector<Plan>& list) {
      return std::find_if(list.begin(), list.end(), [&](const Plan& other) {
        return same_recipe(other.row.recipe, uniform.row.recipe);
      });
    };
    const auto row = find_in(plans), seen = find_in(added);
    plan.row.uniform = row != plans.end()    ? row->row.name
                       : seen != added.end() ? seen->row.name
                                             : uniform.row.name;
    if (row == plans.end() && seen == added.end()) added.push_back(std::move(uniform));
  }
  return added;
}

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

void run_once(const Context& c, std::optional<std::int64_t> seed, Plan& plan) {
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

void run_plan(const Context& c, Plan& plan) {
  if (!plan.made.needs().any()) return run_once(c, {}, plan);
  for (std::int64_t seed = 1; seed <= c.job.seeds; ++seed) run_once(c, seed, plan);
}

/// As run_plan. A file of another size than foreseen, because the work itself chose the weights to
/// keep, teaches what to foresee: the recipe is fitted and run again, at most five times.
void run_to_size(const Context& c, const std::optional<double>& target, Plan& plan) {
  constexpr double kClose = 0.02;  // bits per weight
  const auto fits = [&](const Plan& p) { return p.row.bits().mean <= *target + 1e-6; };
  run_plan(c, plan);
  for (int again = 0; target && again < 5; ++again) {
    const double beyond = plan.row.bits().mean - plan.row.predicted_bits;
    if (fits(plan) && -beyond < kClose) return;
    Plan next = plan;
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
                                std::vector<Plan> plans) {
  std::vector<Plan> expected = plans;
  auto total = static_cast<std::int64_t>(1 + plans.size() + plan_uniform(c.arch, expected).size());
  std::int64_t done = 0;
  const auto announce = [&](const std::string& name) {
    if (c.job.announce) c.job.announce(++done, total, name);
  };
  std::vector<CompareRow> rows(1);
  rows[0] = {.kind = CompareRow::Kind::original, .name = "original"};
  announce(rows[0].name);
  rows[0].runs.push_back(measure_folder(c, c.job.model, false));
  for (Plan& plan : plans) {
    announce(plan.row.name);
    run_to_size(c, target, plan);
  }
  std::vector<Plan> added = plan_uniform(c.arch, plans);  // of the sizes as counted
  total = static_cast<std::int64_t>(1 + plans.size() + added.size());
  for (Plan& plan : added) {
    announce(plan.row.name);
    run_plan(c, plan);
  }
  for (Plan& plan : plans) rows.push_back(std::move(plan.row));
  for (Plan& plan : added) rows.push_back(std::move(plan.row));
  return rows;
}

// Before and after --------------------------------------------------------------------------------

/// Reads the longest calibration text that a recipe wants, so that a bad one stops us now.
void check_calibration(const Context& c, const std::vector<Plan>& plans, CompareReport& report) {
  if (c.job.calibration.seed) fail("compare", "--seed", "none", "--seeds says how many there are");
  Needs needs;
  Recipe longest;
  for (const Plan& plan : plans) {
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
  const Convention& convention = find_convention(c.job.convention);
  const Tokenizer tokenizer = Tokenizer::open(c.job.model);
  const auto file = MappedFile::open(c.job.text);
  c.windows = cut_windows(convention, tokenizer, {c.job.text.string(), file->text()},
                          c.arch.max_positions, c.job.limit);
  c.bos = tokenizer.bos().has_value();
  c.convention = convention.name;
  report.text = c.job.text.filename().string();
  report.text_sha256 = sha256(file->bytes());
  report.convention = convention.name;
  report.windows = static_cast<std::int64_t>(c.windows.size());
  for (const Window& window : c.windows) report.tokens += window.scored();
  report.bos = c.bos;
}

void open_original(Context& c, CompareReport& report) {
  const LanguageModel original = LanguageModel::open(c.job.model);
  if (original.quantization())
    fail("compare " + c.job.model.string(), "a quantized model", "an original one");
  c.arch = original.architecture();
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
  if (job.seeds < 1 || job.seeds > 1000)
    fail("compare", fmt::format("{} seeds", job.seeds), "1 to 1000");
  Context context{.job = job, .work = job.work.empty() ? fs::temp_directory_path() : job.work};
  CompareReport report{.seeds = job.seeds};
  open_original(context, report);
  std::vector<Plan> plans = plan_rows(context.arch, job.recipes);
  if (job.equal_bits || job.target_bits)
    report.target_bits = equalize(context.arch, job.target_bits, plans);
  read_text_to_score(context, report);
  check_calibration(context, plans, report);
  { const TemporaryFolder trial(context.work); }  // whether one can be made
  describe_machine(report);
  report.rows = run_all(context, report.target_bits, std::move(plans));
  conclude(report);
  return report;
}

}  // namespace karat
