// What a recipe's weight files may take: --size and --file-bits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "karat/recipe.h"

namespace karat {

/// Recipe::size and Recipe::file_bits understood; nothing where neither is said. Throws Error on a
/// size that is none, and where the caller says bits beside it.
std::optional<Budget> make_budget(const Assembled& made);
/// Throws Error on a recipe whose size a budget cannot set, known from its axes.
void check_budget(const Assembled& made);

/// Of a whole model; a tied matrix counts once.
std::int64_t parameters_of(const Architecture& arch);

/// "93.486MB" as --size takes it, rounded up.
std::string size_text(std::int64_t bytes);
/// "--size 90MB" or "--file-bits 4.5"
std::string budget_text(const Recipe& recipe);

}  // namespace karat
