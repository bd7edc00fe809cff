"""karat evaluate: conventions, cached logits and the look for overlap, as a user meets them."""
import json
import shutil

from support import EVALUATION, MODEL, ROOT, TestCase, karat, main


class Evaluate(TestCase):
    def setUp(self):
        super().setUp()
        self.text = self.folder / "text.txt"
        self.text.write_text(EVALUATION.read_text()[:7000].rsplit(" ", 1)[0])

    def evaluate(self, *arguments):
        return self.run_json("evaluate", MODEL, "--text", self.text, "--limit", 2, *arguments)

    def test_all_conventions_in_one_run(self):
        result = self.evaluate("--convention", "all")
        each = {one["convention"]: one for one in result["evaluations"]}
        self.assertEqual([one["convention"] for one in result["skipped"]], ["hf2048"])  # a context of 512
        self.assertEqual(sorted(each), ["documents", "hf", "llamacpp512", "lm-eval", "strided"])
        for name in ("llamacpp512", "lm-eval"):
            self.assertEqual(self.evaluate("--convention", name)["perplexity"], each[name]["perplexity"])
        for one in each.values():
            self.assertGreater(one["standard_error"], 0)
            self.assertTrue(one["bos_handling"])
        self.assertEqual(each["strided"]["stride"], 256)
        self.assertEqual(self.evaluate("--stride", 100)["stride"], 100)
        units = each["lm-eval"]["units"]
        self.assertLess(units["byte"]["perplexity"], each["lm-eval"]["perplexity"])
        self.assertLess(each["lm-eval"]["perplexity"], units["word"]["perplexity"])

    def test_an_original_that_tokenizes_otherwise_is_refused(self):
        other = self.folder / "other"
        shutil.copytree(MODEL, other)
        tokenizer = json.loads((other / "tokenizer.json").read_text())
        (other / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1))  # another file, the same tokens
        self.evaluate("--against", other)
        vocab = tokenizer["model"]["vocab"]
        vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
        (other / "tokenizer.json").write_text(json.dumps(tokenizer))
        self.assert_refused("evaluate", MODEL, "--text", self.text, "--limit", 2, "--against", other,
                            says=f"evaluate {MODEL}: got other tokens of {self.text} than {other} makes")

    def test_options_that_change_nothing_are_refused_by_name(self):
        piqa = ("--tasks", "piqa", "--data", ROOT / "examples" / "tasks", "--limit", 1)
        text = ("--text", self.text, "--limit", 1)
        for work, option in ((text, ("--shots", 1)), (text, ("--skip-bad",)), (text, ("--force",)),
                             (text, ("--stride", 0)), (text, ("--field", "body")), (text, ("--seed", 1)),
                             (piqa, ("--field", "body")), (piqa, ("--stride", 5)), (piqa, ("--force",))):
            self.assert_refused("evaluate", MODEL, *work, *option, says=option[0])
        self.assert_refused("evaluate", MODEL, *text, "--shots", 1, says="--shots without --tasks")
        self.assert_refused("evaluate", MODEL, *text, "--field", "body", says="plain text")

    def test_records_are_scored_as_their_texts(self):
        parts = self.text.read_text().split("\n\n")
        self.text.write_text("\n\n".join(parts))
        plain = self.evaluate("--convention", "hf")
        lines, array = self.folder / "text.csv", self.folder / "text.data"
        lines.write_text("\n".join(json.dumps({"id": i, "body": part}) for i, part in enumerate(parts)))
        array.write_text(json.dumps([{"body": part} for part in parts], indent=1, ensure_ascii=False), encoding="utf-8-sig")
        for file in (lines, array):
            arguments = ("evaluate", MODEL, "--text", file, "--field", "body", "--limit", 2)
            scored = self.run_json(*arguments)
            self.assertEqual(scored["perplexity"], plain["perplexity"])
            self.assertIn('holds JSON records; the text under "body"', scored["warnings"][0])
            documents = self.run_json(*arguments, "--convention", "lm-eval")
            self.assertEqual(documents["units"]["documents"], 2)  # records, not the whole file
            self.assert_refused("evaluate", MODEL, "--text", file, says='no string "text": it has body')

    def test_cached_logits(self):
        cache = self.folder / "logits"
        saved = self.evaluate("--save-logits", cache)
        self.assertLessEqual(saved["logits"]["share_of_f16"], 0.05)
        self.assertEqual(saved["logits"]["bytes"], cache.stat().st_size)
        check = saved["cache_check"]
        self.assertLess(abs(check["cached_kl"] / check["exact_kl"] - 1), 0.05)
        again = self.evaluate("--against-logits", cache)  # of the model itself
        self.assertLess(again["kl"]["mean"], 1e-6)
        self.assertEqual((again["top1_agreement"], again["top5_agreement"]), (1, 1))
        cache.write_bytes(cache.read_bytes()[:-1])
        arguments = ("evaluate", MODEL, "--text", self.text)
        self.assert_refused(*arguments, "--limit", 2, "--against-logits", cache, says="logits")
        self.assert_refused(*arguments, "--against-logits", EVALUATION, says="evaluation.txt")
        self.assert_refused(*arguments, "--save-logits", cache, says="--force")
        self.assert_refused(*arguments, "--stride", 10, "--convention", "hf", says="strided")
        self.assert_refused(*arguments, "--calib", self.folder / "nowhere.txt", says="nowhere.txt")

    def test_activations(self):
        plain = self.evaluate()
        self.assertEqual(plain["activations"], "f32")
        both = self.evaluate("--activations", "both")
        self.assertEqual(both["activations"], "both")
        self.assertEqual(both["perplexity"], plain["perplexity"])
        rounded = both["q8_activations"]  # of a model without packed layers, in which nothing is rounded
        self.assertEqual(rounded["perplexity"], plain["perplexity"])
        self.assertEqual((rounded["difference"], rounded["difference_error"]), (0, 0))
        self.assertNotIn("q8_activations", self.evaluate("--activations", "q8"))
        small = self.folder / "small"  # 3-bit codes in blocks, which 8-bit kernels read
        self.run_karat("quantize", MODEL, "--method", "rtn", "--bits", 3, "--out", small)
        packed = self.run_json("evaluate", small, "--text", self.text, "--limit", 2, "--activations", "both")
        rounded = packed["q8_activations"]
        self.assertNotEqual(rounded["perplexity"], packed["perplexity"])
        self.assertLess(abs(rounded["perplexity"] / packed["perplexity"] - 1), 0.01)
        self.assertGreater(rounded["difference_error"], 0)
        arguments = ("evaluate", MODEL, "--activations")
        self.assertIn("+0.000000 ± 0.000000", self.run_karat(*arguments, "both", "--text", self.text, "--limit", 1))
        self.assertIn("activations       q8", self.run_karat(*arguments, "q8", "--text", self.text, "--limit", 1))
        self.assert_refused(*arguments, "f16", "--text", self.text, says="f32, q8 or both")
        self.assert_refused(*arguments, "both", "--tasks", "piqa", "--data", self.folder, says="once with each")

    def test_overlap_is_warned_of(self):
        done = karat("evaluate", MODEL, "--text", self.text, "--limit", 1, "--calib", EVALUATION, "--json")
        self.assertIn("100 %", done.stderr)
        self.assertEqual(json.loads(done.stdout)["overlap"]["share"], 1)
        text = self.text.read_text()
        part = self.folder / "part.txt"
        part.write_text(text[:len(text) // 2])
        share = self.evaluate("--calib", part)["overlap"]["share"]
        self.assertAlmostEqual(share, 0.5, delta=0.05)


if __name__ == "__main__":
    main()
