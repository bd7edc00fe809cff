"""karat train from end to end: through a quantizer, stopped and resumed, and refused."""
import json
import lzma
import os
import signal
import subprocess
import sys
import time

from support import CALIBRATION, EVALUATION, KARAT, MODEL, ROOT, TestCase, main, read_safetensors


class Train(TestCase):
    def setUp(self):
        super().setUp()
        config = json.loads((MODEL / "config.json").read_text())
        config |= {"hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2,
                   "num_key_value_heads": 2, "head_dim": 16}
        self.config = self.folder / "config.json"
        self.config.write_text(json.dumps(config))

    def arguments(self, out, *more):
        return ["train", self.config, "--tokenizer", MODEL, "--data", CALIBRATION, "--validation", EVALUATION, "--out",
                self.folder / out, "--batch", 4, "--sequence", 64, "--warmup", 2, "--lr", 0.01,
                "--validation-sequences", 4, *more]

    def test_a_quantized_model_and_its_record(self):
        result = self.run_json(*self.arguments("out", "--steps", 6, "--quantize", "quest:hadamard=32"))
        self.assertEqual(result["quantize"], "quest:hadamard=32")
        self.assertGreater(result["validation_standard_error"], 0)
        record = json.loads((self.folder / "out/quantizer.json").read_text())
        self.assertEqual(record["quantizer"], "quest:weights=4,activations=4,hadamard=32,grid=uniform,sparse=0,trust=0")
        self.assertTrue(record["exact"])
        self.assertEqual(len(record["layers"]), 14)
        log = json.loads((self.folder / "out/training_log.json").read_text())
        self.assertEqual(len(log["validation_losses"]), 4)
        header, _, _ = read_safetensors(self.folder / "out/model.safetensors")
        self.assertEqual(header["model.norm.weight"]["dtype"], "F32")
        self.assertFalse(any("step" in name for name in header))
        score = self.run_json("evaluate", self.folder / "out", "--text", EVALUATION, "--limit", 1)
        self.assertGreater(score["perplexity"], 1)

    def test_stopped_and_resumed_with_what_was_learned(self):
        lsq, pact = (["--quantize", f"{name}:weights=2,activations=3", "--steps", 30, "--checkpoint-every", 5]
                     for name in ("lsq", "pact"))
        self.run_karat(*self.arguments("whole", *lsq, "--threads", 1))
        stopped = self.arguments("stopped", *lsq)
        process = subprocess.Popen([KARAT, *map(str, stopped)], stderr=subprocess.DEVNULL)
        checkpoint = self.folder / "stopped.work/checkpoint.safetensors"
        while process.poll() is None and not checkpoint.exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if not (self.folder / "stopped").exists():  # else it was too fast to be stopped
            self.assert_refused(*self.arguments("stopped", *pact, "--resume"), says="quantizer")
            self.run_karat(*stopped, "--resume", "--threads", 2)
        for file in ("model.safetensors", "quantizer.safetensors"):
            self.assertEqual((self.folder / "whole" / file).read_bytes(), (self.folder / "stopped" / file).read_bytes())

    def test_bad_quantizers_are_refused_before_anything_runs(self):
        for text, says in {"quest": "multiple of 128", "quest:weights=9": "1 to 8, or 16", "best": "a2qplus, lsq, pact",
                           "lsq:weights=1,zero=1": "2 bits or more", "quest:bits=4": "option 'bits'",
                           "quest:grid=e2m1,weights=3": "4 or 16", "ste:weights=16,activations=16": "at least one",
                           "quest:hadamard=48": "power of two", "quest:grid=trellis": "uniform, e2m1"}.items():
            self.assert_refused(*self.arguments("out", "--quantize", text), says=says)
        self.assert_refused(*self.arguments("out", "--policy", "sgd"), says="expected gaqat, sagm")
        self.assert_refused(*self.arguments("out", "--optimizer", "eco"), says="got eco, expected --quantize")
        self.assert_refused(*self.arguments("out", "--optimizer", "sgd"), says="expected adamw, eco, solo")
        self.assert_refused(*self.arguments("out", "--quantize", "a2qplus:accumulator=4"), says="activations + 1")

    def test_optimizers_of_few_bits_and_weights_packed_as_they_are(self):
        eco = ["--optimizer", "eco", "--quantize", "quest:hadamard=32", "--steps", 8]
        full = self.run_json(*self.arguments("full", "--steps", 2))
        solo = self.run_json(*self.arguments("solo", "--steps", 2, "--optimizer", "solo"))
        self.assertEqual(full["optimizer_bytes"], 2 * full["weight_bytes"])
        self.assertLess(solo["optimizer_bytes"], 0.3 * full["optimizer_bytes"])  # small layers keep float32
        few = self.run_json(*self.arguments("few", *eco))
        self.assertLess(few["optimizer_bytes"] + few["weight_bytes"], full["optimizer_bytes"] + full["weight_bytes"])
        report = self.run_json("pack", self.folder / "few", "--out", self.folder / "packed")
        self.assertEqual(report["warnings"], [])
        score = self.run_json("evaluate", self.folder / "packed", "--text", EVALUATION, "--limit", 1)
        self.assertGreater(score["perplexity"], 1)

    def test_the_contest_prints_a_table_and_makes_no_run_twice(self):
        corpus = self.folder / "shared/corpus"
        corpus.mkdir(parents=True)
        for name, text in (("books.train.txt.xz", CALIBRATION), ("valid.txt.xz", EVALUATION)):
            (corpus / name).write_bytes(lzma.compress(text.read_bytes()[:40000]))
        command = [sys.executable, ROOT / "tools/qat_contest.py", "--karat", KARAT, "--work", self.folder / "work",
                   "--steps", "4", "--batch", "2", "--layers", "1", "--bits", "1", "--methods", "quest", "ste"]
        done = [subprocess.run(command, env=os.environ | {"KARAT_SHARED": str(self.folder / "shared")},
                               capture_output=True, text=True, timeout=300) for _ in range(2)]
        self.assertEqual(done[0].returncode, 0, done[0].stderr)
        self.assertRegex(done[0].stdout, r"\| QuEST, seed 1 \| \d\.\d{4} \| ")
        self.assertRegex(done[0].stdout, r"\| STE \(absmax\), seed 1 \| \d\.\d{4} \([+-]0\.\d{4} ± 0\.\d{4}\) \| ")
        self.assertEqual(done[0].stdout, done[1].stdout)
        self.assertNotIn("tokens/s", done[1].stderr)
        rows = json.loads((self.folder / "work/128x1-batch2-4/rows.json").read_text())
        self.assertEqual([row["name"] for row in rows], ["full-1", "quest-1-1", "ste-1-1"])

    def test_a_packed_model_runs_as_it_was_trained(self):
        trained, packed = self.folder / "out", self.folder / "packed"
        self.run_karat(*self.arguments("out", "--steps", 6, "--quantize", "quest:hadamard=32,weights=3"))
        report = self.run_json("pack", trained, "--out", packed)
        self.assertEqual((report["layers"], report["warnings"]), (14, []))
        self.assertEqual(report["stored"], "3-bit midrise rows Hadamard 32, 4-bit gaussian inputs")
        config = json.loads((packed / "config.json").read_text())["quantization_config"]
        self.assertEqual((config["format_version"], config["method"]), (8, "quest"))
        evaluate = ["evaluate", packed, "--text", EVALUATION, "--limit", 1, "--activations"]
        scores = [self.run_json(*evaluate, numbers)["perplexity"] for numbers in ("f32", "q8")]
        self.assertEqual(scores[0], scores[1])  # inputs are integers either way
        plain = self.run_json("evaluate", trained, "--text", EVALUATION, "--limit", 1)["perplexity"]
        self.assertNotEqual(plain, scores[0])
        self.assertTrue(self.run_karat("run", packed, "--prompt", "Once", "--max-new", 4))
        self.run_karat("bench", packed, "--prompt", 8, "--context", 8, "--decode", 2, "--repeats", 1)
        self.assertIn("midrise", self.run_karat("inspect", packed))
        self.assert_refused("pack", MODEL, "--out", self.folder / "new", says="no quantizer in a quantizer.json")
        self.assert_refused("pack", packed, "--out", self.folder / "new", says="got a packed model")
        self.assert_refused("pack", trained, "--out", packed, says="--force")
        self.run_karat("pack", trained, "--out", packed, "--force")

    def test_another_method_on_a_trained_model_says_that_pack_stores_it(self):
        self.run_karat(*self.arguments("out", "--steps", 2, "--quantize", "ste:weights=4,activations=4"))
        report = self.run_json("quantize", self.folder / "out", "--method", "rtn", "--out", self.folder / "small")
        self.assertIn("trained through the quantizer ste:weights=4", report["warnings"][0])

    def test_help_lists_the_quantizers(self):
        text = self.run_karat("train", "--help")
        for word in ("quest", "lsq", "pact", "quarot", "ste", "hadamard=128", "activations=4", "sagm", "rho=0.05", "solo",
                     "second=2", "eco", "a2qplus", "accumulator=32"):
            self.assertIn(word, text)


if __name__ == "__main__":
    main()
