"""Every karat command that the README and the docs show is run, in order, as a reader would."""
import pathlib
import re
import shlex
import subprocess
import unittest

from support import KARAT, ROOT, TestCase


def commands(text):
    """Lines that begin with `$ karat` in fenced blocks, continuation lines joined."""
    for block in re.findall(r"^```(?:console|sh)\n(.*?)^```", text, re.S | re.M):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ karat "):
                yield line[2:]


class Readme(TestCase):
    def test_every_command_runs(self):
        shown = list(commands((ROOT / "README.md").read_text()))
        self.assertGreaterEqual(len(shown), 5)
        for name in ("models", "examples"):
            (self.folder / name).symlink_to(ROOT / name)
        for line in shown:
            words = shlex.split(line)
            with self.subTest(command=line):
                done = subprocess.run([KARAT, *words[1:]], cwd=self.folder, capture_output=True, text=True,
                                      timeout=600)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_first_command_within_fifteen_lines(self):
        lines = (ROOT / "README.md").read_text().splitlines()
        first = next(i for i, line in enumerate(lines, 1) if re.match(r"^\s*(\$ )?(make|karat) ", line))
        self.assertLessEqual(first, 15)

    def test_method_table_is_current(self):
        self.assertIn(self.run_karat("methods", "--markdown").strip(), (ROOT / "README.md").read_text())

    def test_links_to_files_exist(self):
        for page in [ROOT / "README.md", ROOT / "DESIGN.md", *(ROOT / "docs").glob("*.md")]:
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")


if __name__ == "__main__":
    unittest.main()
