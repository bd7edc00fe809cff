"""The main path on the bundled model: quantize, inspect, evaluate, run."""
import json
import signal
import subprocess
import time

from support import CALIBRATION, EVALUATION, KARAT, MODEL, TestCase, files_of, main


class Quantize(TestCase):
    def perplexity(self, model, *arguments):
        return self.run_json("evaluate", model, "--text", EVALUATION, "--convention", "hf", "--limit", 16, *arguments)

    def test_gwq_beats_rounding_at_the_same_grid(self):
        grid = ("--grid", "uniform:bits=3,group=64")
        rtn = self.quantize("rtn", "rtn", *grid)
        gwq = self.quantize("gwq", "gwq", *grid)
        worse = self.perplexity(rtn, "--against", MODEL)
        better = self.perplexity(gwq, "--against", MODEL)
        self.assertLess(better["against"]["perplexity"], better["perplexity"])
        self.assertLess(better["perplexity"], worse["perplexity"])
        self.assertLess(better["kl"]["mean"], worse["kl"]["mean"])
        self.assertGreater(better["standard_error"], 0)

    def test_same_bytes_whatever_the_threads(self):
        text = ("--samples", 16, "--length", 128)
        runs = {threads: files_of(self.quantize(f"on-{threads}", "gwq-obs", *text, "--threads", threads))
                for threads in (1, 2)}
        for files in runs.values():
            files.pop("karat_report.json")  # it holds seconds
        self.assertEqual(runs[1].keys(), runs[2].keys())
        for name in runs[1]:
            self.assertEqual(runs[1][name], runs[2][name], f"{name} depends on the threads")

    def test_another_seed_chooses_other_text(self):
        a = self.quantize("a", "gwq", "--seed", 1)
        b = self.quantize("b", "gwq", "--seed", 2)
        self.assertNotEqual((a / "model.safetensors").read_bytes(), (b / "model.safetensors").read_bytes())

    def test_report_and_config_say_what_was_done(self):
        out = self.quantize("out", "gwq", "--bits", 3, "--ratio", 0.01)
        report = json.loads((out / "karat_report.json").read_text())
        config = json.loads((out / "config.json").read_text())["quantization_config"]
        self.assertEqual((config["quant_method"], config["format_version"]), ("karat", 6))
        self.assertEqual(len(report["calibration"]["sha256"]), 64)
        self.assertGreater(report["calibration"]["tokens"], 0)
        self.assertEqual(len(report["tensors"]), 4 * 7)
        for tensor in report["tensors"]:
            self.assertAlmostEqual(tensor["kept"], 0.01, delta=1e-4)
            self.assertGreater(tensor["error"], 0)
            self.assertIn("gradient", tensor["rule"])
        portrait = self.run_json("inspect", out)
        self.assertAlmostEqual(portrait["bits_per_weight"], report["bits_per_weight"], places=6)

    def test_original_and_quantized_run(self):
        out = self.quantize("out", "gwq-obs", "--bits", 4, "--samples", 4)
        for model in (MODEL, out):
            text = self.run_karat("run", model, "--prompt", "The captain", "--max-new", 20, "--temperature", 0)
            self.assertGreater(len(text.split()), 8)

    def test_ends_are_rounded_and_run(self):
        kept = self.quantize("kept", "rtn", "--ends", "none")
        sizes = {}
        for ends in ("8", "6", "uniform:bits=4,group=32"):
            out = self.quantize("out" + ends[0], "rtn", "--ends", ends)
            report = json.loads((out / "karat_report.json").read_text())
            config = json.loads((out / "config.json").read_text())["quantization_config"]
            self.assertEqual(config["format_version"], 6)
            self.assertEqual(report["tensors"][-1]["name"], "model.embed_tokens")
            self.assertLess(report["tensors"][-1]["error"], 0.02)
            portrait = self.run_json("inspect", out, "--tensors")
            end = next(t for t in portrait["tensors"] if t["name"] == "model.embed_tokens.weight")
            self.assertAlmostEqual(end["bits_per_weight"], report["tensors"][-1]["bits"], places=6)
            sizes[ends[0]] = report["file_bytes"]
            kl = self.perplexity(out, "--against", kept)["kl"]["mean"]
            self.assertLess(kl, {"8": 0.001, "6": 0.01}.get(ends, 0.2))
            text = self.run_karat("run", out, "--prompt", "The captain", "--max-new", 20, "--temperature", 0)
            self.assertGreater(len(text.split()), 8)
        self.assertLess(sizes["6"], sizes["8"])
        self.assertLess(sizes["8"], json.loads((kept / "karat_report.json").read_text())["file_bytes"])
        self.assertNotIn("model.embed_tokens", [t["name"] for t in
                                                json.loads((kept / "karat_report.json").read_text())["tensors"]])

    def test_ends_that_cannot_be_are_refused_at_once(self):
        for ends in ("7", "4.5", "lut:cost=fisher", "float"):
            self.assert_refused("quantize", MODEL, "--method", "rtn", "--ends", ends, "--out", self.folder / "out",
                                says="ends")

    def test_a_size_is_met_by_layers_and_ends(self):
        out, sized = self.folder / "out", ("--calib", CALIBRATION, "--samples", 8)
        losses = []
        for size in (1.3e6, 1.7e6, 2.2e6, 3.2e6):
            plan = self.run_json("quantize", MODEL, "--size", f"{size / 1e6}MB", *sized, "--out", out, "--dry-run")
            self.assertFalse(out.exists())
            self.assertLessEqual(plan["file_bytes"], size)
            self.assertGreater(plan["file_bytes"], 0.99 * size)
            losses.append(plan["expected_loss"])
            self.assertGreater(len({t["stored"] for t in plan["tensors"]}), 2)
        self.assertEqual(losses, sorted(losses, reverse=True))
        table = self.run_karat("quantize", MODEL, "--size", "1.7MB", *sized, "--out", out, "--dry-run")
        self.assertIn("model.embed_tokens", table)
        report = self.run_json("quantize", MODEL, "--file-bits", plan["file_bits_per_weight"], *sized, "--out", out)
        self.assertEqual(sum(p.stat().st_size for p in out.glob("*.safetensors")), report["file_bytes"])
        self.assertLessEqual(report["file_bytes"], plan["file_bytes"])
        self.assertEqual({t["name"] for t in report["tensors"]}, {t["name"] for t in plan["tensors"]})
        self.assertFalse((self.folder / "out.work").exists())
        kl = self.perplexity(out, "--against", MODEL)["kl"]["mean"]
        self.assertLess(kl, 0.002)
        self.assertGreater(len(self.run_karat("run", out, "--prompt", "The captain", "--max-new", 20).split()), 8)

    def test_measure_writes_scores(self):
        scores = self.folder / "scores.safetensors"
        summary = self.run_json("measure", MODEL, "--metric", "gradient", "--calib", CALIBRATION, "--out", scores)
        self.assertTrue(scores.exists())
        self.assertEqual(len(summary["tensors"]), 28)

    def test_interrupted_work_leaves_nothing(self):
        out = self.folder / "out"
        work = subprocess.Popen([KARAT, "quantize", MODEL, "--method", "gwq-obs", "--calib", CALIBRATION, "--samples",
                                 "16", "--out", out], stderr=subprocess.PIPE, text=True)
        while not (self.folder / "out.work").exists() and work.poll() is None:
            time.sleep(0.01)
        work.send_signal(signal.SIGINT)
        self.assertIn(work.wait(timeout=60), (130, -signal.SIGINT))
        work.stderr.close()
        self.assertEqual(files_of(self.folder), {})

    def test_killed_work_goes_on_to_the_same_bytes(self):
        recipe = ["--method", "gwq-obs", "--calib", CALIBRATION, "--samples", 4]
        whole = self.folder / "whole"
        self.run_karat("quantize", MODEL, *recipe, "--out", whole)
        out = self.folder / "out"
        second = self.folder / "out.work" / "blocks" / "block-0001.safetensors"
        work = subprocess.Popen([KARAT, "quantize", MODEL, *map(str, recipe), "--out", out], stderr=subprocess.DEVNULL)
        while not second.exists() and work.poll() is None:
            time.sleep(0.01)
        work.kill()
        self.assertEqual(work.wait(), -signal.SIGKILL)
        self.assertFalse(out.exists())
        other_text = ["--method", "gwq-obs", "--calib", EVALUATION, "--samples", 4]
        for other, part in ((["--method", "gptq", "--calib", CALIBRATION], "recipe"), (other_text, "text")):
            self.assert_refused("quantize", MODEL, *other, "--out", out, says=f"of another {part} in {out}.work")
        report = self.run_json("quantize", MODEL, *recipe, "--out", out)
        self.assertIn(report["resumed_blocks"], (2, 3))
        self.assertFalse((self.folder / "out.work").exists())
        one, two = files_of(whole), files_of(out)
        for files in (one, two):
            files.pop("karat_report.json")  # it holds seconds
        self.assertEqual(one, two)


if __name__ == "__main__":
    main()
