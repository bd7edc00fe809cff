// Verbs that several processes may share.
#pragma once

#include <functional>

#include "karat/ranks.h"

namespace karat {

/// Runs `work` with the ranks of WORLD_SIZE, RANK, MASTER_ADDR and MASTER_PORT, as torchrun sets
/// them; alone where WORLD_SIZE is not set. Rank 0 alone shows progress and prints.
void with_ranks(const std::function<void(Ranks& ranks)>& work);

/// To be said in the help of such verbs.
extern const char* const kRanksHelp;

}  // namespace karat
