"""Output that cannot be, or must not be replaced: one clear error before any work, and nothing of the user's lost."""
import os
import shutil
import subprocess

from support import CALIBRATION, EVALUATION, KARAT, MODEL, TestCase, karat, main


class BadOutput(TestCase):
    def test_existing_output_needs_force(self):
        out = self.folder / "out"
        out.mkdir()
        (out / "precious").write_text("kept")
        self.quantize_refused(MODEL, "--force")
        self.assertEqual((out / "precious").read_text(), "kept")
        self.assert_refused("quantize", MODEL, "--method", "rtn", "--out", out, "--force", says="choose another name")
        self.assertEqual((out / "precious").read_text(), "kept")
        (out / "precious").unlink()
        self.run_karat("quantize", MODEL, "--method", "rtn", "--out", out, "--force")
        self.run_karat("quantize", MODEL, "--method", "rtn", "--out", out, "--force")
        (out / "mine.json").write_text("{}")
        self.assert_refused("quantize", MODEL, "--method", "rtn", "--out", out, "--force", says="mine.json")

    def test_output_known_bad_is_refused_before_any_pass(self):
        model = self.copy_model()
        os.symlink("not-mounted", self.folder / "link")
        scores, held = self.folder / "scores", self.folder / "held"
        held.write_text("mine")
        for verb, *arguments in (("quantize", "--method", "gptq"), ("measure", "--metric", "gradient")):
            for out, says in (("", "an empty name" if verb == "quantize" else "no --out"), (".", "in use"),
                              (self.folder / "link", "a link"), (self.folder, ""), (model, "which is read"),
                              (held, "held"), (scores / "a" / "b", "no folder"), ("/proc/karat-out", "/proc")):
                done = karat(verb, model, *arguments, "--calib", CALIBRATION, "--out", out, "--force")
                self.assertEqual(done.returncode, 2, (verb, out, done.stderr))
                self.assertIn(says, done.stderr)
                self.assertNotIn("statistics", done.stderr, "a pass ran")
        for arguments in (["evaluate", model, "--text", EVALUATION, "--save-logits", held],
                          ["compare", model, "--methods", "rtn", "--text", EVALUATION, "--html", held],
                          ["compare", model, "--methods", "rtn", "--text", EVALUATION, "--report", held],
                          ["report", model, "--out", held]):
            done = karat(*arguments, "--force")
            self.assertEqual((done.returncode, held.read_text()), (2, "mine"), done.stderr)
            self.assertIn("choose another name", done.stderr)
            self.assertNotIn("row 1", done.stderr)
        self.assertTrue((model / "model.safetensors").exists())
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["held", "link", "model"])

    def test_unwritable_output(self):
        self.assert_refused("quantize", MODEL, "--method", "rtn", "--out", "/proc/karat-out", says="/proc/karat-out")

    def test_full_disk(self):
        """A file-size limit stands in for the full disk where mounting a small one is not allowed."""
        out = self.folder / "out"
        quantize = ["quantize", MODEL, "--method", "gptq", "--calib", CALIBRATION, "--samples", 2, "--out", out]
        for kibibytes, blocks in ((0, None), (64, 0), (3 << 10, 4)):  # no mark of the work; no block; no output
            command = f'trap "" XFSZ; ulimit -f {kibibytes}; exec "$@"'
            done = subprocess.run(["bash", "-c", command, "bash", KARAT, *map(str, quantize)], capture_output=True,
                                  text=True)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("expected room for the whole file", done.stderr)
            kept = f"; what is finished lies in {out}.work; the same command goes on"
            self.assertEqual(kept in done.stderr, blocks is not None, done.stderr)
            self.assertEqual(os.listdir(self.folder), [] if blocks is None else ["out.work"])
            if blocks is None:
                continue
            self.assertEqual(self.run_json(*quantize)["resumed_blocks"], blocks)
            self.assertEqual(os.listdir(self.folder), ["out"])
            shutil.rmtree(out)


if __name__ == "__main__":
    main()
