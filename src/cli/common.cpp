#include "cli/common.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>

#include "core/threads.h"
#include "karat/error.h"
#include "karat/runtime.h"
#include "karat/version.h"

namespace karat {
namespace {

namespace fs = std::filesystem;
constexpr int kBadInput = 2;
constexpr int kInterrupted = 130;
volatile std::sig_atomic_t stop_requested = 0;

/// Becomes karat-torch, which lies beside this program or in ../libexec/karat.
[[noreturn]] void become_helper(char** argv) {
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  for (const fs::path& folder : {here, here.parent_path() / "libexec" / "karat"}) {
    const fs::path helper = folder / "karat-torch";
    if (fs::exists(helper)) ::execv(helper.c_str(), argv);
  }
  fail(std::string("karat ") + argv[1], "no karat-torch beside karat", "a build with LibTorch",
       "configure with -DKARAT_TORCH=ON");
}

/// A variable of the environment; empty when it is not set.
std::string setting(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

Activations activations_setting() {
  const std::string name = setting("KARAT_ACTIVATIONS");
  return name.empty() ? Activations::f32 : parse_activations(name);
}

int describe_failure(std::string_view text) {
  fmt::print(stderr, "karat: {}\n", text);
  return kBadInput;
}

/// `karat --help` tells of each verb the first line of its own help.
struct Summaries : CLI::Formatter {
  std::string make_subcommand(const CLI::App* verb) const override {
    const std::string text = verb->get_description();
    std::stringstream line;
    CLI::detail::format_help(line, verb->get_name(), text.substr(0, text.find('\n')), 12);
    return line.str();
  }
};

[[noreturn]] void refuse_verb(const Program& program, const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [verb, declare] : program.verbs) known.push_back(verb);
  for (const auto& [verb, summary] : program.helpers) known.push_back(verb);
  std::ranges::sort(known);
  fail("karat", "no verb " + name, fmt::format("one of {}", fmt::join(known, ", ")),
       "karat --help says what each does");
}

}  // namespace

const CLI::Validator& named() {
  static const CLI::Validator validator(
      [](const std::string& name) { return name.empty() ? "an empty name" : ""; }, "FILE");
  return validator;
}

CLI::Validator whole_number(std::uint64_t most) {
  return CLI::Validator(
      [most](const std::string& text) {
        std::uint64_t value = 0;
        const char* end = text.data() + text.size();
        const auto read = std::from_chars(text.data(), end, value);
        const bool good = read.ec == std::errc{} && read.ptr == end && value <= most;
        return good ? "" : fmt::format("got {}, expected a whole number from 0 to {}", text, most);
      },
      "");
}

int run_program(const Program& program, int argc, char** argv) try {
  if (argc > 1 && program.helpers.contains(argv[1])) become_helper(argv);

  if (argc > 1 && *argv[1] != '-' && !program.verbs.contains(argv[1]))
    refuse_verb(program, argv[1]);
  CLI::App app("Karat finds the weights that carry a language model and spends its bits on them.",
               "karat");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string(version()));
  std::map<const CLI::App*, Action> actions;
  int threads = core_count();
  const auto declare = [&](CLI::App* verb) {
    verb->add_option("--threads", threads, "Threads to use")
        ->capture_default_str()
        ->check(CLI::Range(1, 1024));
  };
  for (const auto& [name, declare_verb] : program.verbs) {
    CLI::App* verb = app.add_subcommand(name);
    actions[verb] = declare_verb(*verb);
    if (actions[verb].threads == Action::Threads::many) declare(verb);
  }
  for (const auto& [name, summary] : program.helpers) app.add_subcommand(name, summary);
  app.formatter(std::make_shared<Summaries>());

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kBadInput;
  }
  program.use_threads(threads);
  const Runtime runtime({threads, setting("KARAT_ISA"), activations_setting()});
  const Runtime::Scope scope(runtime);
  std::signal(SIGINT, [](int) {
    if (stop_requested) std::_Exit(kInterrupted);  // the second Ctrl-C does not wait
    stop_requested = 1;
  });
  actions.at(app.get_subcommands().front()).work();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    fail("write standard output", std::strerror(errno), "room for all of it");
  return 0;
} catch (const Error& error) {
  return describe_failure(error.what());
} catch (const Interrupted& interrupted) {
  fmt::print(stderr, "karat: interrupted, {}\n", interrupted.left);
  return kInterrupted;
} catch (const std::bad_alloc&) {
  return describe_failure(
      "memory: got less than needed, expected enough; close programs or use a smaller model");
} catch (const std::exception& error) {
  return describe_failure(error.what());
}

bool stop_wanted() {
  return stop_requested != 0;
}

ProgressFn terminal_progress() {
  const bool terminal = ::isatty(STDERR_FILENO) != 0;
  return [terminal, last = 0.0](const ProgressEvent& event) mutable {
    const bool finished = event.done >= event.total;
    // A terminal is refreshed at most ten times a second, a log file every ten seconds.
    if (finished || event.seconds - last >= (terminal ? 0.1 : 10.0) || event.seconds < last) {
      last = finished ? 0.0 : event.seconds;
      fmt::print(stderr, "{}{:<10} {:>5}/{} {:>3.0f} %  {:.0f} s, {:.0f} s left  {}{}",
                 terminal ? "\r\033[K" : "", event.stage, event.done, event.total,
                 100.0 * static_cast<double>(event.done) /
                     static_cast<double>(std::max<std::int64_t>(1, event.total)),
                 event.seconds, event.seconds_left, event.detail,
                 terminal && !finished ? "" : "\n");
      std::fflush(stderr);
    }
    return stop_requested == 0;
  };
}

ProgressFn quiet_progress() {
  return [](const ProgressEvent&) { return stop_requested == 0; };
}

std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string line(std::istreambuf_iterator<char>(file), {});
  while (!line.empty() && line.back() == '\0') line.pop_back();
  std::replace(line.begin(), line.end(), '\0', ' ');
  return line;
}

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      text += i == 0 ? fmt::format("{:<{}}", row[i], widths[i])
                     : fmt::format("  {:>{}}", row[i], widths[i]);
    text += '\n';
  }
  return text;
}

}  // namespace karat
