"""karat tokenize: ids and pieces, as a user meets them, of folders that hold a tokenizer alone."""
import json
import shutil
import unittest

from support import EVALUATION, MODEL, ROOT, TestCase, karat

FIXTURES = ROOT / "tests" / "fixtures" / "tokenizers"


class Tokenize(TestCase):
    def tokens(self, model, text, *arguments):
        result = self.run_json("tokenize", model, "--text", text, *arguments)
        self.assertEqual(result["ids"], [one["id"] for one in result["tokens"]])
        return result

    def test_ids_and_pieces(self):
        result = self.tokens(FIXTURES / "llama3", "The river é")
        self.assertEqual(result["tokens"][0], {"id": result["bos"], "piece": "<|begin_of_text|>"})
        pieces = [one["piece"] for one in result["tokens"][1:]]
        self.assertEqual("".join(pieces), "TheĠriverĠÃ©")
        self.assertEqual((result["decoded"], result["round_trip"]), ("The river é", True))
        self.assertEqual(self.tokens(FIXTURES / "llama3", "The river é", "--plain")["ids"], result["ids"][1:])
        ids = self.run_karat("tokenize", FIXTURES / "llama3", "--text", "The river é", "--ids")
        self.assertEqual([int(one) for one in ids.split()], result["ids"])
        table = self.run_karat("tokenize", FIXTURES / "llama3", "--text", "a\n<|eot_id|>")
        self.assertRegex(table, r"(?m)^ *\d+  <\|eot_id\|>$")
        self.assertIn("4 tokens of 12 bytes; decoded, they are the same text", table)

    def test_a_text_that_does_not_come_back_is_shown(self):
        result = self.tokens(FIXTURES / "metaspace", "two  spaces")  # its normalizer makes them one
        self.assertEqual((result["decoded"], result["round_trip"]), ("two spaces", False))
        self.assertIn("differ from the text: “two spaces”",
                      self.run_karat("tokenize", FIXTURES / "metaspace", "--text", "two  spaces"))

    def test_files(self):
        whole = self.run_karat("tokenize", MODEL, "--file", EVALUATION, "--ids")
        records = self.folder / "records"
        records.write_text(json.dumps({"body": EVALUATION.read_text()}))
        self.assertEqual(self.run_karat("tokenize", MODEL, "--file", records, "--field", "body", "--ids"), whole)
        self.assert_refused("tokenize", MODEL, "--file", records, says='no string "text": it has body')
        self.assert_refused("tokenize", MODEL, "--file", MODEL / "model.safetensors", says="binary data")
        self.assert_refused("tokenize", MODEL, says="neither --text nor --file")
        self.assert_refused("tokenize", MODEL, "--text", "", "--file", EVALUATION, says="--text and --file")
        self.assertEqual(self.tokens(FIXTURES / "gpt2", "")["ids"], [])

    def test_added_tokens_reach_the_model(self):
        folder = self.folder / "sp"
        folder.mkdir()
        shutil.copy(FIXTURES / "sentencepiece" / "tokenizer.model", folder)
        (folder / "added_tokens.json").write_text(json.dumps({"<|im_start|>": 560, "<|im_end|>": 561}))
        result = self.tokens(folder, "<|im_start|>hi<|im_end|>")
        self.assertEqual([one["piece"] for one in result["tokens"] if one["id"] >= 560], ["<|im_start|>", "<|im_end|>"])
        (folder / "added_tokens.json").write_text(json.dumps({"<|im_start|>": 599}))
        self.assert_refused("tokenize", folder, "--text", "x", says="id 599 for “<|im_start|>”")

    def test_other_kinds_are_refused_by_name(self):
        for name, content, says in (("tokenizer.model", "IQ== 0\n", "tiktoken"), ("vocab.txt", "[PAD]\n", "WordPiece"),
                                    ("tokenizer.json", '{"model": {"type": "Unigram", "vocab": []}}', "Unigram")):
            folder = self.folder / name.replace(".", "-")
            folder.mkdir()
            (folder / name).write_text(content)
            self.assert_refused("tokenize", folder, "--text", "x", says=says)
        done = karat("tokenize", "--help")
        self.assertIn("--plain", done.stdout)


if __name__ == "__main__":
    unittest.main()
