#include "core/output.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <iterator>
#include <vector>

#include "core/file.h"
#include "core/temporary.h"
#include "karat/error.h"

using namespace karat;
namespace fs = std::filesystem;

namespace {

/// A folder or file is a former output when "ours" is written in it.
std::string not_ours(const fs::path& path) {
  const fs::path file = fs::is_directory(path) ? path / "mark" : path;
  return fs::exists(file) && read_text(file) == "ours" ? "" : "not ours";
}

Output output_at(const fs::path& path, bool replace = false) {
  return {.path = path, .replace = replace, .not_former = not_ours};
}

void write_folder(const Output& output, std::string_view text) {
  OutputFolder folder(output);
  write_file(folder.path() / "mark", text);
  folder.commit();
}

std::int64_t entries(const fs::path& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

/// The text of the Error; also with --force, for neither may do harm.
std::string refusal(Output output, OutputKind kind) {
  std::string text;
  for (const bool replace : {false, true}) try {
      output.replace = replace;
      check_output(output, kind);
      return "not refused";
    } catch (const Error& error) {
      text = error.what();
    }
  return text;
}

bool says(const std::string& text, std::string_view words) {
  return text.find(words) != text.npos;
}

/// For as long as it lives, this is the current folder.
struct CurrentFolder {
  explicit CurrentFolder(const fs::path& folder) { fs::current_path(folder); }
  ~CurrentFolder() { fs::current_path(before); }
  const fs::path before = fs::current_path();
};

/// For as long as it lives, permissions count although the tests may run as root; `paths` become
/// those of the user that the process then is.
struct BoundByPermissions {
  explicit BoundByPermissions(const std::vector<fs::path>& paths) {
    if (::geteuid() != 0) return;
    for (const fs::path& path : paths)
      if (::chown(path.c_str(), kNobody, kNobody) != 0) return;
    changed = ::seteuid(kNobody) == 0;
  }
  ~BoundByPermissions() {
    if (changed && ::seteuid(0) != 0) std::abort();
  }
  static constexpr uid_t kNobody = 65534;
  bool changed = false;
};

}  // namespace

TEST_CASE("an output appears whole or not at all") {
  const TemporaryFolder here;
  const fs::path folder = here.path / "folder", file = here.path / "file";
  {
    OutputFolder half(output_at(folder));
    write_file(half.path() / "mark", "half");
    AtomicFile other(output_at(file));
    write_file(other.path(), "half");
  }
  CHECK(entries(here.path) == 0);
  write_folder(output_at(folder), "ours");
  write_output(output_at(file), "ours");
  CHECK(read_text(folder / "mark") == "ours");
  CHECK(read_text(file) == "ours");
  CHECK_THROWS_WITH_AS(write_folder(output_at(folder), ""), doctest::Contains("--force"), Error);
  CHECK_THROWS_WITH_AS(write_output(output_at(file), ""), doctest::Contains("--force"), Error);
  write_folder(output_at(folder / "", true), "newer");
  write_output(output_at(file, true), "newer");
  CHECK(read_text(folder / "mark") == "newer");
  CHECK(read_text(file) == "newer");
  CHECK(entries(here.path) == 2);
}

TEST_CASE("what Karat did not write stays, whatever the user says") {
  const TemporaryFolder here;
  const fs::path folder = here.path / "folder", file = here.path / "file";
  fs::create_directory(folder);
  write_file(folder / "precious", "mine");
  write_file(file, "mine");
  CHECK(says(refusal(output_at(folder), OutputKind::folder), "not ours"));
  CHECK(says(refusal(output_at(file), OutputKind::file), "not ours"));
  CHECK(says(refusal(output_at(file), OutputKind::folder), "a file"));
  CHECK(says(refusal(output_at(folder), OutputKind::file), "a folder"));
  CHECK(says(refusal({.path = file}, OutputKind::file), "exists"));
  CHECK(read_text(folder / "precious") == "mine");
  CHECK(read_text(file) == "mine");

  fs::create_directory(here.path / "empty");  // holds nothing that could be lost
  CHECK_THROWS_AS(write_folder(output_at(here.path / "empty"), ""), Error);
  write_folder(output_at(here.path / "empty", true), "ours");
  CHECK(stranger_in(folder, [](const std::string& name) { return name == "precious"; }).empty());
  CHECK(stranger_in(folder, [](const std::string&) { return false; }) == "precious");
  const auto all = [](const std::string&) { return true; };
  CHECK(stranger_in(here.path, all).empty());
  fs::create_directories(folder / "below" / "nothing");
  CHECK(stranger_in(here.path, all) == "folder/below/nothing");
  write_file(folder / "below" / "nothing" / "more", "mine");
  CHECK(stranger_in(here.path, all).empty());
  fs::create_symlink("not-there", folder / "below" / "link");
  CHECK(stranger_in(folder, all) == "below/link");
  CHECK(names_below(folder) ==
        std::vector<std::string>{"below/link", "below/nothing/more", "precious"});
}

TEST_CASE("what appears in the way while the work goes on stays as well") {
  const TemporaryFolder here;
  const fs::path folder = here.path / "folder", file = here.path / "file";
  OutputFolder late_folder(output_at(folder, true));
  AtomicFile late_file(output_at(file, true));
  write_file(file, "mine");
  fs::create_directory(folder);
  write_file(folder / "precious", "mine");
  CHECK_THROWS_AS(late_folder.commit(), Error);
  CHECK_THROWS_AS(late_file.commit(), Error);
  CHECK(read_text(folder / "precious") == "mine");
  CHECK(read_text(file) == "mine");
}

TEST_CASE("links, parents of inputs and folders in use are refused although they are ours") {
  const TemporaryFolder here;
  const fs::path folder = here.path / "folder";
  write_folder(output_at(folder), "ours");
  fs::create_directory_symlink("not-there", here.path / "dangling");
  fs::create_directory_symlink(folder, here.path / "link");
  fs::create_directory(folder / "model");
  for (const char* name : {"dangling", "link"}) {
    CHECK(says(refusal(output_at(here.path / name), OutputKind::folder), "a link"));
    CHECK(says(refusal(output_at(here.path / name), OutputKind::file), "a link"));
    CHECK(fs::is_symlink(here.path / name));
  }
  for (const fs::path& input :
       {folder, folder / "", folder / "model", folder / "mark", here.path / "link"}) {
    Output output = output_at(folder);
    output.inputs = {"", input};
    CHECK(says(refusal(output, OutputKind::folder), "which is read"));
  }
  Output output = output_at(folder / "mark");
  output.inputs = {here.path / "link" / "mark"};
  CHECK(says(refusal(output, OutputKind::file), "which is read"));
  const CurrentFolder inside(folder / "model");
  CHECK(says(refusal(output_at(folder), OutputKind::folder), "current folder"));
  CHECK(says(refusal(output_at("../../folder"), OutputKind::folder), "current folder"));
  for (const char* name : {"", ".", "..", "/", "./", "../..", "../model/."})
    CHECK(refusal(output_at(name), OutputKind::folder) != "not refused");
  CHECK(read_text(folder / "mark") == "ours");
  CHECK(says(refusal(output_at("/proc"), OutputKind::folder), "mount point"));
}

TEST_CASE("a place that cannot be written to is known before the work") {
  const TemporaryFolder here;
  for (const OutputKind kind : {OutputKind::file, OutputKind::folder}) {
    CHECK(says(refusal(output_at(here.path / "no" / "out"), kind),
               "no folder " + (here.path / "no").string()));
    CHECK(says(refusal(output_at(here.path / "no" / "out"), kind),
               "mkdir -p " + (here.path / "no").string()));
    CHECK(says(refusal(output_at("/proc/karat-out"), kind), "/proc/karat-out"));
    CHECK(says(refusal(output_at(here.path / std::string(300, 'x')), kind),
               "choose a shorter name"));
    write_file(here.path / "file", "");
    CHECK(says(refusal(output_at(here.path / "file" / "out"), kind), "no folder"));
    CHECK(says(refusal(output_at("/dev/null"), kind), "neither"));
  }
  CHECK(entries(here.path) == 1);
}

TEST_CASE("who may not write is not told to free disk space") {
  const TemporaryFolder here;
  const fs::path bound = here.path / "bound", hidden = bound / "hidden";
  fs::create_directories(hidden);
  for (const fs::perms allowed :
       {fs::perms::owner_read | fs::perms::owner_exec, fs::perms::none}) {
    fs::permissions(bound, allowed);
    {
      const BoundByPermissions user({here.path, bound, hidden});
      std::error_code error;
      if (fs::create_directory(bound / "mine", error); !error) return;  // nothing binds this user
      const bool enters = allowed != fs::perms::none;
      const fs::path folder = enters ? bound : hidden / "below";
      const std::string text = refusal(output_at(folder / "out"), OutputKind::file);
      CHECK(says(text, "Permission denied"));
      CHECK(says(text, "choose a folder that you may write to"));
    }
    fs::permissions(bound, fs::perms::owner_all);
  }
  CHECK(says(std::string(write_hint(ENOSPC)), "free disk space"));
}

TEST_CASE("an output that is in its place stays there when its folder cannot be flushed") {
  const TemporaryFolder here;
  const fs::path out = here.path / "out", file = here.path / "file";
  write_folder(output_at(out), "ours");
  write_file(file, "ours");
  fs::permissions(here.path, fs::perms::owner_write | fs::perms::owner_exec);
  {
    const BoundByPermissions bound({here.path, out, out / "mark", file});
    std::error_code error;
    if (fs::directory_iterator(here.path, error); !error) return;  // nothing binds this user
    CHECK_THROWS_AS(write_folder(output_at(out, true), "ours"), Error);
    CHECK_THROWS_AS(write_folder(output_at(here.path / "new"), "ours"), Error);
    CHECK_THROWS_AS(write_output(output_at(file, true), "new"), Error);
  }
  fs::permissions(here.path, fs::perms::owner_all);
  for (const char* name : {"out", "new"}) CHECK(read_text(here.path / name / "mark") == "ours");
  CHECK(read_text(file) == "new");
  CHECK(entries(here.path) == 3);
}
