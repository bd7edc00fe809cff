"""Every karat command that the README and the docs show is run, in order, as a reader would."""
import pathlib
import re
import shlex
import subprocess

from support import KARAT, ROOT, TestCase, main


PAGES = [ROOT / "README.md", ROOT / "DESIGN.md", *sorted((ROOT / "docs").glob("*.md")),
         *sorted(ROOT.glob("models/*/README.md")), *sorted(ROOT.glob("examples/*/README.md"))]


def commands(text):
    """Lines that begin with `$ karat`, wherever they stand, continuation lines joined."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.lstrip().startswith("$ karat "):
            yield line.lstrip()[2:]


class Readme(TestCase):
    def test_every_command_runs(self):
        """The commands of a page one after the other, in a folder of their own that has the bundled data."""
        shown = {page: list(commands(page.read_text())) for page in PAGES}
        self.assertGreaterEqual(len(shown[ROOT / "README.md"]), 10)
        self.assertGreaterEqual(sum(len(lines) > 0 for lines in shown.values()), 4)
        made = {}  # what a command wrote, by its line: another page that shows it need not wait for it again
        for number, (page, lines) in enumerate(shown.items()):
            folder = self.folder / str(number)
            folder.mkdir()
            for name in ("models", "examples"):
                (folder / name).symlink_to(ROOT / name)
            for line in lines:
                if line in made:
                    for path in made[line]:
                        (folder / path.name).symlink_to(path)
                    continue
                with self.subTest(page=page.name, command=line):
                    before = set(folder.iterdir())
                    done = subprocess.run([KARAT, *shlex.split(line)[1:]], cwd=folder, capture_output=True, text=True,
                                          timeout=600)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    if line.startswith("karat quantize models/karat-tiny "):  # its input is every page's
                        made[line] = set(folder.iterdir()) - before

    def test_first_command_and_its_output_within_fifteen_lines(self):
        lines = (ROOT / "README.md").read_text().splitlines()[:15]
        first = lines.index("$ make demo")
        self.assertEqual(lines[first - 1], "```console")
        rows = [line.split("  ")[0] for line in lines[first + 1:]]
        self.assertEqual(rows[:3], ["model", "original", "karat 4 bits"])
        self.assertEqual(rows[-1], "rtn 3 bits")

    def test_method_table_is_current(self):
        self.assertIn(self.run_karat("methods", "--markdown").strip(), (ROOT / "README.md").read_text())

    def test_model_table_is_current(self):
        self.assertIn(self.run_karat("families", "--markdown").strip(), (ROOT / "docs/models.md").read_text())

    def test_links_to_files_exist(self):
        for page in PAGES:
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")


if __name__ == "__main__":
    main()
