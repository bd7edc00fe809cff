"""karat compare: what it reports is what the other verbs report, and it leaves nothing else behind."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

from support import CALIBRATION, EVALUATION, KARAT, OfOneBlock, Page, files_of, karat, main

QUICK = ("--samples", 2, "--length", 128)  # of the calibration
TEXT = ("--text", EVALUATION, "--limit", 3)


class Compare(OfOneBlock):
    def compare(self, *arguments):
        return self.run_json("compare", self.model, *TEXT, *arguments)

    def row(self, report, name):
        return next(row for row in report["rows"] if row["name"] == name)

    def test_rows_are_what_quantize_and_evaluate_say(self):
        report = self.compare("--methods", "gwq,gptq", "--bits", 3, "--calib", CALIBRATION, *QUICK)
        original = report["rows"][0]
        self.assertEqual((original["name"], original["bits_per_weight"]), ("original", 16))
        for method in ("gwq", "gptq"):
            out = self.quantize(method, method, "--bits", 3, "--seed", 1, *QUICK)
            row = self.row(report, f"{method} 3 bits")
            seen = self.run_json("evaluate", out, *TEXT, "--against", self.model)
            self.assertAlmostEqual(row["perplexity"]["mean"], seen["perplexity"], places=9)
            self.assertAlmostEqual(row["kl"]["mean"], seen["kl"]["mean"], places=9)
            self.assertAlmostEqual(original["perplexity"]["mean"], seen["against"]["perplexity"], places=9)
            portrait = self.run_json("inspect", out)
            self.assertAlmostEqual(row["bits_per_weight"], portrait["bits_per_weight"], places=9)
            self.assertAlmostEqual(row["predicted_bits"], portrait["bits_per_weight"], places=9)
            self.assertEqual(row["runs"][0]["file_bytes"], portrait["file_bytes"])
            self.assertEqual((row["recipe"]["samples"], row["recipe"]["length"]), (2, 128))
            self.assertGreater(row["seconds"], 0)
        self.assertEqual(len(report["text"]["sha256"]), 64)
        self.assertEqual(len(report["calibration"]["sha256"]), 64)

    def test_a_row_of_a_size(self):
        report = self.compare("--methods", "rtn", "--bits", 4, "--recipe", "sized=karat --size 0.8MB", "--calib",
                              CALIBRATION, *QUICK)
        row = self.row(report, "sized --size 0.8MB")
        self.assertLessEqual(row["file_bytes"], 800_000)
        self.assertGreater(row["file_bytes"], 0.99 * 800_000)
        self.assertEqual(row["recipe"]["size"], "0.8MB")
        self.assertIsNone(row["uniform"])
        self.assertGreater(self.row(report, "rtn 4 bits")["file_bytes"], 2 * row["file_bytes"])

    def test_uniform_of_equal_size_is_always_there(self):
        report = self.compare("--methods", "gwq,rtn", "--bits", "4,3", "--calib", CALIBRATION, *QUICK)
        names = [row["name"] for row in report["rows"]]
        self.assertEqual(names[0], "original")
        self.assertEqual(len(names), len(set(names)))
        for bits in (3, 4):
            row = self.row(report, f"gwq {bits} bits")
            uniform = self.row(report, row["uniform"])
            self.assertEqual(uniform["bits"], bits)
            self.assertLessEqual(uniform["bits_per_weight"], row["bits_per_weight"])
            self.assertGreater(uniform["bits_per_weight"], row["bits_per_weight"] - 0.3)
            self.assertAlmostEqual(row["vs_uniform"], row["kl"]["mean"] / uniform["kl"]["mean"])
            plain = self.row(report, f"rtn {bits} bits")
            self.assertIsNone(plain["uniform"])
        order = [(row["bits"], row["kl"]["mean"]) for row in report["rows"][1:]]
        self.assertEqual(order, sorted(order))

    def test_equal_bits(self):
        report = self.compare("--methods", "rtn,gptq", "--recipe", "kept=gwq --grid uniform:bits=4,group=32",
                              "--equal-bits", "--calib", CALIBRATION, *QUICK)
        target = report["target_bits"]
        for row in report["rows"][1:]:
            self.assertLessEqual(row["bits_per_weight"], target + 1e-9)
            self.assertGreater(row["bits_per_weight"], target - 0.35)
        self.assertAlmostEqual(self.row(report, "kept 4 bits")["bits_per_weight"], target)
        self.assertIn("group=32,", self.row(report, "kept 4 bits")["recipe"]["grid"])
        self.assertEqual(self.row(report, "gptq 4 bits")["uniform"], "rtn 4 bits")
        losses = [row["kl"]["mean"] for row in report["rows"][1:]]
        self.assertEqual(losses, sorted(losses))
        few = ("--samples", 1, "--length", 64)
        spqr = self.compare("--methods", "spqr", "--bits", 3, "--target-bits", 4.3, "--calib", CALIBRATION, *few)
        found = self.row(spqr, "spqr 3 bits")["bits_per_weight"]  # its outliers are known from the file alone
        self.assertLessEqual(found, 4.3)
        self.assertGreater(found, 4.1)
        lower = self.compare("--methods", "rtn", "--target-bits", 4.3)
        self.assertLessEqual(lower["rows"][1]["bits_per_weight"], 4.3)

    def test_seeds(self):
        report = self.compare("--methods", "gptq,rtn", "--seeds", 3, "--calib", CALIBRATION, *QUICK)
        gptq = self.row(report, "gptq 4 bits")
        self.assertEqual([run["seed"] for run in gptq["runs"]], [1, 2, 3])
        self.assertGreater(gptq["kl"]["deviation"], 0)
        losses = [run["kl"]["mean"] for run in gptq["runs"]]
        self.assertAlmostEqual(gptq["kl"]["mean"], sum(losses) / 3)
        rtn = self.row(report, "rtn 4 bits")
        self.assertEqual(len(rtn["runs"]), 1)
        self.assertIsNone(rtn["kl"]["deviation"])

    def test_page_and_report_are_written(self):
        page, report = self.folder / "page.html", self.folder / "report.json"
        arguments = ("compare", self.model, *TEXT, "--methods", "rtn,hqq", "--bits", "3,4", "--html", page, "--report",
                     report)
        table = self.run_karat(*arguments)
        self.assertEqual(sorted(files_of(self.folder)), ["page.html", "report.json"])
        rows = json.loads(report.read_text())["rows"]
        parsed = Page(page.read_text())
        self.assertEqual(sum(tag == "circle" for tag, _ in parsed.tags), len(rows) - 1)
        for row in rows:
            self.assertIn(row["name"], table)
            self.assertIn(row["name"], "\n".join(parsed.text))
        for tag, attributes in parsed.tags:
            self.assertNotIn(tag, ("script", "link", "img", "iframe"))
            self.assertFalse({"src", "href", "onload"} & attributes.keys())
        before = page.read_bytes()
        self.assert_refused(*arguments, says="--force")
        self.assertEqual(page.read_bytes(), before)
        self.run_karat("compare", self.model, *TEXT, "--methods", "rtn", "--html", page, "--report", report, "--force")
        self.assertNotEqual(page.read_bytes(), before)
        self.assertEqual(len(json.loads(report.read_text())["rows"]), 2)

    def test_peak_memory_is_of_each_row_alone(self):
        try:
            pathlib.Path("/proc/self/clear_refs").write_text("5")
            told = True
        except OSError:  # some systems do not let a process reset its peak
            told = False
        report = self.compare("--methods", "rtn,gwq", "--calib", CALIBRATION, *QUICK)
        for row in report["rows"][1:]:
            self.assertEqual(row["peak_bytes"] is not None, told)
            self.assertGreater(row["peak_bytes"] or 11 << 20, 10 << 20)
        self.assertIsNone(report["rows"][0]["peak_bytes"])

    def test_overlap_is_warned_of_before_the_work(self):
        done = karat("compare", self.model, *TEXT, "--methods", "rtn", "--calib", EVALUATION)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(done.stderr.index("karat: warning: 100 %"), done.stderr.index("row 1 of "))

    def refused(self, says, *arguments, text=TEXT):
        """Refused before the first row."""
        self.assert_refused("compare", self.model, *text, *arguments, says=says)

    def test_bad_input_stops_before_anything_runs(self):
        calib = ("--calib", CALIBRATION)
        short = self.folder / "short.txt"
        short.write_text("Too short.")
        self.refused("gqw", "--methods", "rtn,gqw")
        self.refused("--methods", "--bits", 3)
        self.refused("commas", "--methods", "rtn,")
        self.refused("bits=7", "--methods", "rtn", "--bits", "3,7")
        self.refused("--ratio 0.01", "--methods", "rtn", "--ratio", 0.01)
        self.refused("label", "--recipe", "gwq --bits 3", *calib)
        self.refused("rtn 4 bits", "--methods", "rtn,rtn")
        self.refused("--calib", "--methods", "rtn,gwq")
        self.refused("short.txt", "--methods", "gwq", "--calib", short)
        self.refused("short.txt", "--methods", "rtn", text=("--text", short))
        self.refused("mine", "--methods", "rtn", "--convention", "mine")
        self.refused("one of them", "--methods", "rtn", "--group", 64, "--equal-bits")
        self.refused("2.500", "--methods", "rtn", "--target-bits", 2.5)
        self.refused("seeds", "--methods", "rtn", "--seeds", 0)
        self.refused("/proc/page.html", "--methods", "rtn", "--html", "/proc/page.html")
        self.refused("nowhere", "--methods", "rtn", "--work", self.folder / "nowhere")
        self.refused("nowhere", "--methods", "rtn", "--html", self.folder / "nowhere" / "page.html")
        small = self.quantize("small", "rtn")
        self.assert_refused("compare", small, *TEXT, "--methods", "rtn", says="a quantized model")

    def test_interrupted_work_leaves_nothing(self):
        work = self.folder / "work"
        work.mkdir()
        process = subprocess.Popen(
            [KARAT, "compare", self.model, "--methods", "gwq-obs,gptq", "--calib", CALIBRATION, "--text", EVALUATION,
             "--seeds", "50", "--work", work, "--html", self.folder / "page.html"],
            stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if line.startswith("row 2 of"):
                break
        while not any(work.rglob("*.work")) and process.poll() is None:  # it is at the row's quantization
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        process.stderr.close()
        self.assertEqual(process.wait(timeout=60), 130)
        self.assertEqual(os.listdir(work), [])
        self.assertEqual(os.listdir(self.folder), ["work"])

    def test_nothing_stays_in_the_temporary_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([KARAT, "compare", str(self.model), *map(str, TEXT), "--methods", "rtn"],
                                  env={**os.environ, "TMPDIR": folder}, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("row 1 of 2: original", done.stderr)
            self.assertIn("row 2 of 2: rtn 4 bits", done.stderr)
            self.assertEqual(list(pathlib.Path(folder).iterdir()), [])


if __name__ == "__main__":
    main()
