// `karat quantize`: load, calibrate; measure, choose and quantize in passes; save.
#include "karat/quantize.h"

#include <chrono>
#include <functional>

#include "core/output.h"
#include "karat/error.h"
#include "karat/text_notice.h"
#include "pipeline/fits.h"
#include "pipeline/former.h"
#include "pipeline/identity.h"
#include "pipeline/passes.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

Output folder_output(const QuantizeJob& job) {
  return {.path = job.out,
          .replace = job.replace,
          .inputs = {job.model, job.calibration.file},
          .not_former = not_quantized};
}

/// What can be known to be wrong before the weights are read.
void check_job(const QuantizeJob& job, const Assembled& recipe) {
  check_output(folder_output(job), OutputKind::folder);
  Work::check(job.out, identity_of_recipe(recipe), job.replace);
  if (fs::exists(job.model) && Tokenizer::files(job.model).empty())
    fail("quantize " + job.model.string(), "no tokenizer",
         "tokenizer.json or tokenizer.model beside the weights");
  check_runs(job.model);
}

/// Keeps what is finished, and says where it lies.
std::string keep(Work& work) {
  work.keep();
  return "what is finished lies in " + work.path().string() + "; the same command goes on";
}

/// What is finished stays when the user stops the work, or something fails that may not fail again,
/// such as a write to a full disk.
void finish_or_keep(Work& work, const std::function<void()>& body) try {
  body();
} catch (Interrupted& stop) {
  if (work.worth_keeping()) stop.left = keep(work);
  throw;
} catch (const Error& error) {
  if (!work.worth_keeping()) throw;
  throw Error(std::string(error.what()) + "; " + keep(work));
}

}  // namespace

QuantizeReport quantize(const QuantizeJob& job) {
  const auto start = std::chrono::steady_clock::now();
  const Assembled recipe = assemble(find_method(job.method), job.overrides);
  check_job(job, recipe);
  const Source model = load(job.model);
  check_fits(model.arch, recipe);
  const CalibrationSet text = calibrate(model, recipe.needs(), recipe.recipe, job.calibration);
  Work::check(job.out, identity_of_job(model, recipe, text), job.replace);
  check_finite(model);
  Work work(job.out, identity_of_work(model, recipe, text, job.progress), job.replace);
  QuantizeReport report{.command = job.command,
                        .model = model.name(),
                        .recipe = recipe.recipe,
                        .overrides = job.overrides};
  report.warnings = text_notices(job.calibration.file, job.calibration.field, text.records);
  report.warnings.insert(report.warnings.end(), model.arch.warnings.begin(),
                         model.arch.warnings.end());
  if (text.ids.defined()) report.calibration = text;
  finish_or_keep(work, [&] {
    const Passed passed = run_passes(model, recipe, text, work, job.progress);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    report.loss = passed.loss;
    report.resumed_blocks = static_cast<std::int64_t>(passed.resumed);
    report.seconds = taken.count();
    save(folder_output(job), model, passed.ends, passed.blocks, report);
  });
  return report;
}

}  // namespace karat
