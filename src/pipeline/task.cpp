#include "pipeline/task.h"

#include "karat/error.h"
#include "karat/text_notice.h"
#include "load/training_record.h"
#include "pipeline/file_size.h"
#include "pipeline/former.h"
#include "pipeline/identity.h"
#include "pipeline/work.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

/// What can be known to be wrong before the weights are read.
void check_job(const QuantizeJob& job, const Assembled& recipe) {
  check_output(folder_output(job), OutputKind::folder);
  Work::check(job.out, identity_of_recipe(recipe), job.replace);
  if (fs::exists(job.model) && Tokenizer::files(job.model).empty())
    fail("quantize " + job.model.string(), "no tokenizer",
         "tokenizer.json or tokenizer.model beside the weights");
  check_runs(job.model);
}

}  // namespace

Output folder_output(const QuantizeJob& job) {
  return {.path = job.out,
          .replace = job.replace,
          .inputs = {job.model, job.calibration.file},
          .not_former = not_quantized};
}

QuantizeTask open_task(const QuantizeJob& job) {
  QuantizeTask task;
  task.recipe = assemble(find_method(job.method), job.overrides);
  auto& [recipe, model, text] = task;
  check_job(job, recipe);
  model = load(job.model);
  check_fits(model.arch, recipe);
  check_reachable(model, recipe);
  text = calibrate(model, recipe.needs(), recipe.recipe, job.calibration);
  Work::check(job.out, identity_of_job(model, recipe, text), job.replace);
  check_finite(model);
  return task;
}

std::vector<std::string> notices(const QuantizeJob& job, const QuantizeTask& task) {
  std::vector<std::string> notices =
      text_notices(job.calibration.file, job.calibration.field, task.text.records);
  if (const std::string quantizer = trained_quantizer(job.model); !quantizer.empty())
    notices.push_back("this model was trained through the quantizer " + quantizer +
                      "; karat pack stores it as it was trained, without a text");
  notices.insert(notices.end(), task.model.arch.warnings.begin(), task.model.arch.warnings.end());
  return notices;
}

}  // namespace karat
