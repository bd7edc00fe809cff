#include "cli/torch/shared/ranks.h"

#include <cstdint>
#include <cstdlib>
#include <string>

#include "cli/common.h"
#include "karat/error.h"

namespace karat {
namespace {

/// A whole number that the environment gives.
int number_of(const char* name, int least, int most) {
  const char* value = std::getenv(name);
  std::string text = value == nullptr ? "" : value;
  const bool whole = whole_number(static_cast<std::uint64_t>(most))(text).empty();
  const int number = whole ? std::stoi(text) : -1;
  if (number < least)
    fail(
        std::string("ranks: ") + name, value == nullptr ? "none" : text,
        "a whole number from " + std::to_string(least) + " to " + std::to_string(most),
        "WORLD_SIZE is set: RANK, MASTER_ADDR and MASTER_PORT belong to it, as torchrun sets them");
  return number;
}

RanksOptions from_environment() {
  if (std::getenv("WORLD_SIZE") == nullptr) return {};
  RanksOptions options;
  options.size = number_of("WORLD_SIZE", 1, 4096);
  options.rank = number_of("RANK", 0, options.size - 1);
  if (options.size == 1) return options;
  options.port = number_of("MASTER_PORT", 1, 65535);
  const char* host = std::getenv("MASTER_ADDR");
  if (host == nullptr || *host == '\0') fail("ranks: MASTER_ADDR", "none", "the host of rank 0");
  options.host = host;
  return options;
}

}  // namespace

const char* const kRanksHelp = R"(
Many machines: processes started with WORLD_SIZE, RANK, MASTER_ADDR and MASTER_PORT set, as torchrun
does it (torchrun --no-python ... karat train ...), share the work, and rank 0 writes the bytes that
one alone would write. The files have to be on each.)";

void with_ranks(const std::function<void(Ranks& ranks)>& work) {
  Ranks ranks(from_environment());
  ranks.share([&] { work(ranks); });
}

}  // namespace karat
