// karat evaluate --tasks
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace karat {

struct TaskArguments {
  std::vector<std::string> names;
  std::string data, items;
  std::int64_t shots = -1;  // −1: as each task says
  std::uint64_t seed = 0;
  bool skip_bad = false, truncate = false, replace = false;
};

/// Adds the options that go with --tasks.
void declare_tasks(CLI::App& app, TaskArguments& arguments);
/// `against` may be empty.
void run_tasks(const TaskArguments& arguments, const std::string& model, const std::string& against,
               std::int64_t limit, bool json);

}  // namespace karat
