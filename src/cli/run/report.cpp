// karat report: Shows what was quantized and measured as one page
#include "karat/report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/common.h"
#include "core/file.h"
#include "karat/error.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

struct ReportArguments {
  std::vector<std::string> folders;
  fs::path out;
  bool force = false;
};

void write_page(const ReportArguments& arguments) {
  const fs::path& out = arguments.out;
  std::error_code error;
  if (fs::exists(out, error) && (!arguments.force || fs::is_directory(out, error)))
    fail("write " + out.string(), "a path that exists", "a new one",
         "pass --force to replace a file");
  const std::vector<fs::path> folders(arguments.folders.begin(), arguments.folders.end());
  const std::string page = report_html(folders);
  fs::path temporary = out;
  temporary += fmt::format(".partial-{}", ::getpid());
  write_file(temporary, page);
  fs::rename(temporary, out, error);
  if (!error) return;
  std::error_code ignored;
  fs::remove(temporary, ignored);
  fail("write " + out.string(), error.message(), "a path that can be written");
}

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
  app.add_flag("--force", arguments->force, "Replace an existing file");
  return [arguments] { write_page(*arguments); };
}

}  // namespace karat
