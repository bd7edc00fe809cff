"""Agreement with lm-evaluation-harness: items of `karat evaluate --tasks` against fixtures."""
import json
import os

from support import MODEL, ROOT, TestCase

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
