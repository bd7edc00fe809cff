"""`karat evaluate --tasks`: agreement with lm-evaluation-harness, and what a user sees."""
import json

from agreement import Agreement
from support import MODEL, ROOT, TestCase, karat, main

EXAMPLES = ROOT / "examples" / "tasks"


class Shipped(Agreement):
    def test_shipped_rows(self):
        self.check("examples.json", EXAMPLES)


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

    def test_items_never_go_where_something_else_is(self):
        items, other, gone = (self.folder / name for name in ("items.jsonl", "notes.txt", "gone"))
        piqa = ("evaluate", MODEL, "--tasks", "piqa", "--data", EXAMPLES, "--limit", 2, "--items")
        other.write_text("my notes\n")
        self.assert_refused(*piqa, other, says="a path that exists (no items in it)")
        self.assert_refused(*piqa, other, "--force", says="a path that exists (no items in it)")
        other.write_text("")
        self.assert_refused(*piqa, other, says="a path that exists")
        (self.folder / "link").symlink_to(gone)
        self.assert_refused(*piqa, self.folder / "link", says="got a link")
        self.assert_refused(*piqa, self.folder / "none" / "items.jsonl", says="mkdir -p")
        self.run_karat(*piqa, items)
        whole = items.read_text()
        self.assertIn("2 items were done before", self.run_karat(*piqa, items))
        self.assert_refused(*piqa, items, "--seed", 1, says="got items of other models, data or options")
        self.assertEqual((items.read_text(), other.read_text(), gone.exists()), (whole, "", False))
        self.run_karat(*piqa, items, "--seed", 1, "--force")
        self.assertNotEqual(items.read_text(), whole)

    def test_a_task_file_of_ones_own(self):
        (self.folder / "odd.json").write_text(json.dumps({
            "about": "letters", "kind": "choices", "file": "odd.jsonl", "metrics": ["acc"],
            "forms": [{"context": "{a}", "choices": ["{b}", "x"], "gold": "0"}]}))
        (self.folder / "odd.jsonl").write_text('{"a": "one", "b": "two"}\n')
        result = self.run_json("evaluate", MODEL, "--tasks", self.folder / "odd.json", "--data", self.folder)
        self.assertEqual(result["results"][0]["items"], 1)


if __name__ == "__main__":
    main()
