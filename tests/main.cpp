// The main of every unit-test program.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>

#include "tests/shared.h"

namespace karat::testing {
namespace {

constexpr int kSkipped = 77;  // SKIP_RETURN_CODE in cmake/layers.cmake
bool something_missed = false;

}  // namespace

std::filesystem::path shared(std::string_view name) {
  const char* folder = std::getenv("KARAT_SHARED");
  return (folder ? std::filesystem::path(folder) : KARAT_SOURCE_DIR "/../shared") / name;
}

bool missing(const std::filesystem::path& path) {
  if (std::filesystem::exists(path)) return false;
  MESSAGE("skipped: " << path.string() << " is absent");
  return something_missed = true;
}

}  // namespace karat::testing

int main(int argc, char** argv) {
  const int failed = doctest::Context(argc, argv).run();
  return failed || !karat::testing::something_missed ? failed : karat::testing::kSkipped;
}
