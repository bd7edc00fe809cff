"""karat_vision and the contest made of its runs, on domains made by rule."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from support import ROOT, TestCase, main

PROGRAM = pathlib.Path(os.environ["KARAT_BUILD"]) / "karat_vision"
SHORT = ["--steps", "6", "--validate-every", "3", "--batch", "8", "--width", "8", "--quiet"]


def vision(*arguments):
    return subprocess.run([PROGRAM, "stripes", *arguments], capture_output=True, text=True)


class Vision(TestCase):
    def test_a_gated_run(self):
        runs = [vision("--target", "dark", "--bits", "3", "--policy", "gaqat:window=3", *SHORT) for _ in range(2)]
        first, second = (json.loads(run.stdout) for run in runs)
        self.assertEqual([point["step"] for point in first["curve"]], [3, 6])
        self.assertEqual(first["target_images"], 400)
        self.assertEqual({point["step"] for point in first["scales"]}, {3, 6})
        for result in (first, second):
            result.pop("seconds")
        self.assertEqual(first, second)

    def test_bad_input(self):
        for arguments, message in ((["--target", "moon"], "--target: got moon, expected bright, dark"),
                                   (["--target", "dark", "--policy", "gaqat"], "policy gaqat with 0 bits"),
                                   (["--target", "dark", "--bits", "9"], "9 bits, expected 2 to 8")):
            run = vision(*arguments, *SHORT)
            self.assertEqual((run.returncode, run.stdout), (2, ""))
            self.assertIn(message, run.stderr)

    def test_an_interrupted_contest_goes_on(self):
        with tempfile.TemporaryDirectory() as work:
            def contest(program, *more):
                return subprocess.run(
                    [sys.executable, ROOT / "tools" / "vision_contest.py", "stripes", "--work", work, "--program", program,
                     "--domains", "dark", "--methods", "LSQ", "LSQ, SAGM", "--bits", "3", "--seeds", "1", "--steps", "2",
                     "--width", "8", *more], capture_output=True, text=True)

            first = contest(PROGRAM)
            self.assertEqual(first.stdout.count("| LSQ"), 2, first.stderr)
            self.assertEqual(contest("/bin/false").stdout, first.stdout)
            self.assertNotIn("| - |", first.stdout)
            self.assertIn("| - |", contest("/bin/false", "--only-print", "--domains", "bright").stdout)


if __name__ == "__main__":
    main()
