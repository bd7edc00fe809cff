"""The checks of names, sizes, layers and widths find what breaks them, and nothing else."""
import pathlib
import sys

from support import ROOT, TestCase, main

sys.path.insert(0, str(ROOT / "tools"))
import names  # noqa: E402
import size  # noqa: E402

SOURCE = """#include <string>
namespace karat {
namespace {
struct Hidden { int a; };
inline int hidden(int x) { return x; }
}  // namespace
/// A struct { in a comment.
struct Plain {
  struct Inside { int b; };
  int twice(int x) const { return 2 * x; }
};
struct Declared;
enum class Kind { a, b };
template <class T>
class Box final : public Plain {};
template <> class Box<int> {};
inline int sum(int a, int b = 2) { return a + b; }
inline int sum(float a) { return static_cast<int>(a); }
int strong(int x) { return x; }  // objects tell
inline constexpr const char* kText = R"(struct Text { };)";
namespace deep { struct Plain {}; }
}  // namespace karat
"""


class Names(TestCase):
    def test_what_two_files_may_not_define(self):
        found = [name for name, _ in names.definitions(SOURCE)]
        self.assertEqual(found, ["type karat::Plain", "type karat::Kind", "type karat::Box", "type karat::Box<int>",
                                 "function karat::sum(int, int)", "function karat::sum(float)",
                                 "type karat::deep::Plain"])

    def test_lines(self):
        lines = dict(names.definitions(SOURCE))
        self.assertIn("struct Plain", SOURCE.splitlines()[lines["type karat::Plain"] - 1])


class Size(TestCase):
    def problems(self, path, *lines):
        found = []
        size.check(pathlib.Path(path), list(lines), found)
        return found + list(size.wide(pathlib.Path(path), list(lines)))

    def test_layers(self):
        self.assertEqual(self.problems("src/format/a.cpp", '#include "core/file.h"', '#include "karat/error.h"'), [])
        self.assertIn("format may not know run", self.problems("src/format/a.cpp", '#include "run/session.h"')[0])
        self.assertIn("cli may not know kernel", self.problems("src/cli/run/a.cpp", '#include "kernel/kernel.h"')[0])
        self.assertIn("cli may not know model", self.problems("src/cli/run/a.cpp", '#include "model/ops.h"')[0])
        self.assertEqual(self.problems("src/cli/torch/a.cpp", '#include "model/threads.h"'), [])
        self.assertIn("new may not know core", self.problems("src/new/a.cpp", '#include "core/file.h"')[0])

    def test_sizes(self):
        body = ["int f() {", *["  g();"] * 60, "}"]
        self.assertIn("function of 62 lines", self.problems("src/core/a.cpp", *body)[0])
        self.assertIn("401 lines", self.problems("src/core/a.cpp", *["//"] * 401)[0])

    def test_widths(self):
        self.assertEqual(self.problems("src/core/a.cpp", "x" * 100), [])
        self.assertIn("101 columns", self.problems("src/core/a.cpp", "x" * 101)[0])
        self.assertEqual(list(size.wide(pathlib.Path("a.md"), ["a " * 60, "| " * 99, "```", "a " * 99, "```"])), [])
        self.assertIn("a.md:2", list(size.wide(pathlib.Path("a.md"), ["", "a " * 61]))[0])


if __name__ == "__main__":
    main()
