#include "core/counters.h"

#include <doctest/doctest.h>

using namespace karat;

TEST_CASE("counters count instructions and cycles, or say why not") {
  const Counters counters;
  const Counts before = counters.read();
  volatile unsigned sum = 0;  // wraps
  for (unsigned i = 0; i < 100000; ++i) sum = sum + i;
  const Counts after = counters.read();
  if (counters.refusal().empty()) {
    CHECK(after.instructions - before.instructions >= 100000);
    CHECK(after.cycles > before.cycles);
  } else {
    CHECK(counters.refusal().find(": ") != std::string::npos);
    CHECK(after.instructions >= before.instructions);
  }
}
