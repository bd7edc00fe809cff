// What the verbs share: how they are declared, how they report progress, how they fail.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "karat/progress.h"

namespace karat {

/// What a verb does once its options are parsed. A verb is one file src/cli/<program>/<verb>.cpp
/// that defines `Action <verb>_verb(CLI::App& app)`: it declares options on `app` and returns this.
struct Action {
  enum class Threads { one, many };  // many: the verb has an option --threads
  Action() = default;
  template <class Work>
  Action(Work work, Threads threads = Threads::many) : work(std::move(work)), threads(threads) {}
  std::function<void()> work;
  Threads threads = Threads::many;
};
using VerbTable = std::map<std::string, Action (*)(CLI::App&)>;

/// A program made of verbs.
struct Program {
  const VerbTable& verbs;
  const std::map<std::string, std::string>& helpers;  // verb -> summary; run by karat-torch
  void (*use_threads)(int threads);  // tells libraries that have threads of their own
};
/// Parses, runs one verb. Exit codes: 0; 2 for bad usage or an Error, printed as one line; 130 when
/// interrupted.
int run_program(const Program& program, int argc, char** argv);

/// Refuses an empty name of a file to write, which would be taken for none.
const CLI::Validator& named();

/// Refuses all but whole numbers from 0 to `most`.
CLI::Validator whole_number(std::uint64_t most);

/// A progress line on stderr with the time left; Ctrl-C asks the work to stop.
ProgressFn terminal_progress();
/// The same without a line.
ProgressFn quiet_progress();
/// Ctrl-C was pressed; for work that shows itself as it goes.
bool stop_wanted();

/// The command as typed, for reports, a blank between words; empty where /proc does not say.
std::string command_line();

/// "ab..." lines printed as a table with right-aligned columns after the first.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

const std::map<std::string, std::string>& helper_verbs();

}  // namespace karat
