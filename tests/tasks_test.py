"""`karat evaluate --tasks`: agreement with lm-evaluation-harness, and what a user sees."""
import json
import os
import unittest

from support import MODEL, ROOT, SHARED, TestCase, karat

EXAMPLES = ROOT / "examples" / "tasks"
SETS = SHARED / "data" / "zeroshot"
FIXTURES = ROOT / "tests" / "fixtures" / "tasks"


class Agreement(TestCase):
    """The files were made by tools/reference_tasks.py. KARAT_ALL_ITEMS=1 compares all items."""

    # Items compared; together at least 50 of each kind but generation, which goes token by token.
    QUICK = {"gsm8k": 4, "winogrande": 25, "winograd_wsc": 25, "lambada_openai": 50}

    def narrowed(self, data, sets):
        """A data folder with the files of the kept groups alone: mmlu has 57."""
        folder = self.folder / "data"
        for kept in sets:
            for path in data.rglob(f"{kept['group']}_*.csv" if kept["group"] else "*.jsonl"):
                target = folder / (path.parent.name if kept["group"] else "") / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    target.symlink_to(path)
        return folder

    def check(self, fixture, data):
        expected = json.loads((FIXTURES / fixture).read_text())
        data = self.narrowed(data, expected["sets"])
        for kept in expected["sets"]:
            if not os.environ.get("KARAT_ALL_ITEMS"):
                kept["items"] = kept["items"][:self.QUICK.get(kept["task"], 8)]
        for shots in sorted({kept["shots"] for kept in expected["sets"]}):
            sets = [kept for kept in expected["sets"] if kept["shots"] == shots]
            found = {}
            for count in {len(kept["items"]) for kept in sets}:
                names = sorted({kept["task"] for kept in sets if len(kept["items"]) == count})
                found |= self.items(names, data, shots, count)
            for kept in sets:
                self.compare(kept, found)

    def items(self, names, data, shots, limit):
        items = self.folder / f"{shots}-{limit}.jsonl"
        self.run_karat("evaluate", MODEL, "--tasks", ",".join(names), "--data", data, "--shots", shots,
                       "--limit", limit, "--truncate", "--items", items)
        lines = [json.loads(line) for line in items.read_text().splitlines()[1:]]
        return {(line["task"], line.get("group", ""), line["row"]): line for line in lines}

    def compare(self, kept, found):
        worst = 0.0
        for item in kept["items"]:
            ours = found[kept["task"], kept["group"], item["row"]]
            for name, value in item["metrics"].items():
                self.assertAlmostEqual(ours["metrics"][name], value, delta=1e-3, msg=(kept["task"], item))
            if "response" in item:
                self.assertEqual(ours["response"], item["response"], kept["task"])
                continue
            self.assertEqual(ours["greedy"], item["greedy"], kept["task"])
            self.assertEqual(len(ours["loglikelihoods"]), len(item["loglikelihoods"]))
            for a, b in zip(ours["loglikelihoods"], item["loglikelihoods"]):
                worst = max(worst, abs(a - b))
        self.assertLess(worst, 1e-3, kept["task"])

    def test_shipped_rows(self):
        self.check("examples.json", EXAMPLES)

    @unittest.skipUnless(SETS.exists(), "../shared/data/zeroshot is absent")
    def test_public_sets(self):
        self.check("public_sets.json", SETS)


class Command(TestCase):
    def test_pairs_as_json(self):
        small = self.folder / "small"
        self.run_karat("quantize", MODEL, "--method", "rtn", "--bits", 3, "--out", small)
        result = self.run_json("evaluate", small, "--tasks", "piqa,hellaswag", "--data", EXAMPLES,
                               "--against", MODEL)
        self.assertEqual([entry["task"] for entry in result["results"]], ["piqa", "hellaswag"])
        for pair in result["paired"]:
            ours, theirs = (next(entry for entry in side if entry["task"] == pair["task"])
                            for side in (result["results"], result["against"]["results"]))
            self.assertAlmostEqual(pair["difference"], ours["metrics"][pair["metric"]]["value"] -
                                   theirs["metrics"][pair["metric"]]["value"])
            split = pair["mcnemar"]
            self.assertAlmostEqual(pair["difference"] * pair["items"], split["first_only"] - split["second_only"])
        self.assertGreater(result["speed"]["tokens_per_second"], 0)

    def test_bad_usage(self):
        self.assert_refused("evaluate", MODEL, says="neither --text nor --tasks")
        self.assert_refused("evaluate", MODEL, "--tasks", "piqa", says="no --data")
        self.assert_refused("evaluate", MODEL, "--tasks", "pica", "--data", EXAMPLES, says="one of arc_challenge")
        (self.folder / "piqa.jsonl").write_text('{"goal": "g"\n')
        self.assert_refused("evaluate", MODEL, "--tasks", "piqa", "--data", self.folder, says="piqa.jsonl:1")
        (self.folder / "piqa.jsonl").write_text((EXAMPLES / "piqa.jsonl").read_text() + '{"goal": "g"\n')
        done = karat("evaluate", MODEL, "--tasks", "piqa", "--data", self.folder, "--skip-bad")
        self.assertEqual(done.returncode, 0)
        self.assertIn("1 bad rows left out", done.stdout)

    def test_a_task_file_of_ones_own(self):
        (self.folder / "odd.json").write_text(json.dumps({
            "about": "letters", "kind": "choices", "file": "odd.jsonl", "metrics": ["acc"],
            "forms": [{"context": "{a}", "choices": ["{b}", "x"], "gold": "0"}]}))
        (self.folder / "odd.jsonl").write_text('{"a": "one", "b": "two"}\n')
        result = self.run_json("evaluate", MODEL, "--tasks", self.folder / "odd.json", "--data", self.folder)
        self.assertEqual(result["results"][0]["items"], 1)


if __name__ == "__main__":
    unittest.main()
