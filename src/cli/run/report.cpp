// karat report: Shows what was quantized and measured as one page
#include "karat/report.h"

#include <CLI/App.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/common.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

struct ReportArguments {
  std::vector<std::string> folders;
  fs::path out;
  bool force = false;
};

}  // namespace

Action report_verb(CLI::App& app) {
  app.description(
      "Shows what was quantized and measured as one page\n\n"
      "  karat evaluate out --text test.txt --against models/karat-tiny --json > out/test.json\n"
      "  karat report models/karat-tiny out --out report.html\n\n"
      "Reads karat_report.json and whatever measure, compare and evaluate printed with --json and\n"
      "was saved in the folders under a name that ends in .json. The page needs no other file and\n"
      "asks the network for nothing.");
  auto arguments = std::make_shared<ReportArguments>();
  app.add_option("folders", arguments->folders, "Folders with models or reports")->required();
  app.add_option("--out", arguments->out, "HTML file to write")->required();
  app.add_flag("--force", arguments->force, "Replace a page that Karat wrote before");
  const auto work = [arguments] {
    const std::vector<fs::path> folders(arguments->folders.begin(), arguments->folders.end());
    write_report(folders, arguments->out, arguments->force);
  };
  return {work, Action::Threads::one};
}

}  // namespace karat
