// Where LibTorch has no Gloo, or its headers are not installed: no rank but one that is alone.
#include "ranks/group.h"

#include "karat/error.h"

namespace karat {

std::unique_ptr<RankGroup> join_ranks(const RanksOptions&) {
  fail(
      "ranks", "a build without Gloo", "one with it",
      "install libgloo-dev, build again with a LibTorch that has c10d's Gloo; or unset WORLD_SIZE");
}

}  // namespace karat
