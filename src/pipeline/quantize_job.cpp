// `karat quantize`: load, calibrate; measure, choose and quantize in passes; save.
#include "karat/quantize.h"

#include <chrono>
#include <functional>

#include "pipeline/identity.h"
#include "pipeline/passes.h"
#include "pipeline/task.h"

namespace karat {
namespace {

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
  const QuantizeTask task = open_task(job);
  const auto& [recipe, model, text] = task;
  Work work(job.out, identity_of_work(model, recipe, text, job.progress), job.replace);
  QuantizeReport report{.command = job.command,
                        .model = model.name(),
                        .recipe = recipe.recipe,
                        .overrides = job.overrides};
  if (text.ids.defined()) report.calibration = text;
  finish_or_keep(work, [&] {
    const Passed passed = run_passes(model, recipe, text, work, job.progress);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    report.loss = passed.loss;
    report.learned = passed.learned;
    report.resumed_blocks = static_cast<std::int64_t>(passed.resumed);
    report.seconds = taken.count();
    report.warnings = notices(job, task);
    report.warnings.insert(report.warnings.end(), passed.notices.begin(), passed.notices.end());
    save(folder_output(job), model, passed.ends, passed.blocks, report);
  });
  return report;
}

}  // namespace karat
