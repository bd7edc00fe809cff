// A model's file that is cut while a sweep reads it.
#include <doctest/doctest.h>

#include "core/temporary.h"
#include "karat/calibrate.h"
#include "karat/error.h"
#include "model/testing.h"

using namespace karat;

TEST_CASE("a model file that is cut during a sweep is an error that names it, whatever is swept") {
  namespace fs = std::filesystem;
  const FamilyFixture fixture("llama3");
  CalibrationSet set;
  set.ids = fixture.ids();
  std::vector<SweepOptions> kinds(3);
  kinds[1].propagate = true;
  kinds[2].needs.gradient = true;
  for (const SweepOptions& options : kinds) {
    const TemporaryFolder folder;
    const fs::path file = folder.path / "model.safetensors";
    fs::copy_file(kFamilies / "llama3" / "model.safetensors", file);
    const Safetensors weights = Safetensors::open_folder(folder.path);
    int visits = 0;
    CHECK_THROWS_WITH_AS(sweep(fixture.arch, weights, set, options,
                               [&](BlockVisit&) {
                                 if (++visits == 1) fs::resize_file(file, 100);
                               }),
                         doctest::Contains("model.safetensors"), Error);
    CHECK(visits == 1);
  }
}

TEST_CASE("pages that vanish between two blocks of a sweep are read as zeros, and it fails") {
  namespace fs = std::filesystem;
  const FamilyFixture fixture("llama3");
  CalibrationSet set;
  set.ids = fixture.ids();
  std::vector<SweepOptions> kinds(3);
  kinds[1].needs.hessian = true;
  kinds[2].needs.gradient = true;
  for (SweepOptions& options : kinds) {
    const TemporaryFolder folder;
    const fs::path file = folder.path / "model.safetensors";
    fs::copy_file(kFamilies / "llama3" / "model.safetensors", file);
    const Safetensors weights = Safetensors::open_folder(folder.path);
    bool cut = false, lost = false;
    std::vector<std::size_t> visited;
    options.progress = [&](const ProgressEvent& event) {
      if (event.done >= 1 && !cut) fs::resize_file(file, 100);
      return cut = cut || event.done >= 1, true;
    };
    options.edit = [&](std::size_t, Weights& loaded) {
      if (cut) lost = lost || loaded.begin()->second.eq(0).all().item<bool>();
    };
    CHECK_THROWS_WITH_AS(sweep(fixture.arch, weights, set, options,
                               [&](BlockVisit& visit) { visited.push_back(visit.index); }),
                         doctest::Contains(file.c_str()), Error);
    CHECK(lost);
    for (const std::size_t index : visited) CHECK(index == 0);  // before the cut
  }
}
