// `karat quantize`: load, calibrate; measure, choose and quantize in passes; save.
#include "karat/quantize.h"

#include <chrono>
#include <functional>

#include "pipeline/identity.h"
#include "pipeline/passes.h"
#include "pipeline/task.h"

namespace karat {
namespace {

/// What is finished stays when the user stops the work.
Passed unless_interrupted(Work& work, const std::function<Passed()>& body) try {
  return body();
} catch (Interrupted& stop) {
  if (!work.worth_keeping()) throw;
  work.keep();
  stop.left = "what is finished lies in " + work.path().string() + "; the same command goes on";
  throw;
}

}  // namespace

QuantizeReport quantize(const QuantizeJob& job) {
  const auto start = std::chrono::steady_clock::now();
  const QuantizeTask task = open_task(job);
  const auto& [recipe, model, text] = task;
  Work work(job.out, identity_of_work(model, recipe, text, job.progress), job.replace);
  const Passed passed =
      unless_interrupted(work, [&] { return run_passes(model, recipe, text, work, job.progress); });
  QuantizeReport report{.command = job.command,
                        .model = model.name(),
                        .recipe = recipe.recipe,
                        .overrides = job.overrides,
                        .loss = passed.loss,
                        .resumed_blocks = static_cast<std::int64_t>(passed.resumed)};
  report.warnings = notices(job, task);
  report.warnings.insert(report.warnings.end(), passed.notices.begin(), passed.notices.end());
  if (text.ids.defined()) report.calibration = text;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  save(folder_output(job), model, passed.ends, passed.blocks, report);
  return report;
}

}  // namespace karat
