"""A GGUF file in a folder's place: every verb takes it, and what comes out is what the folder gives."""

import subprocess
import sys

from support import CALIBRATION, EVALUATION, MODEL, ROOT, TestCase, main

PROMPT = ("--prompt", "The captain", "--max-new", 20, "--temperature", 0, "--json")


class Gguf(TestCase):
    def convert(self, name, *arguments):
        file = self.folder / name
        subprocess.run([sys.executable, ROOT / "tools/to_gguf.py", MODEL, file, *arguments], check=True)
        return file

    def text(self, model):
        return self.run_json("run", model, *PROMPT[:-1])["text"]

    def test_the_same_model_gives_the_same_bytes_text_tokens_and_perplexity(self):
        file = self.convert("tiny.gguf")
        self.assertEqual(self.text(file), self.text(MODEL))
        for model in (file, MODEL):
            self.run_karat("quantize", model, "--method", "gptq", "--calib", CALIBRATION, "--samples", 4,
                           "--length", 128, "--out", self.folder / model.name.removesuffix(".gguf"))
        made, expected = (self.folder / name / "model.safetensors" for name in ("tiny", MODEL.name))
        self.assertEqual(made.read_bytes(), expected.read_bytes())
        self.assertEqual(self.text(made.parent), self.text(expected.parent))
        ids = [self.run_karat("tokenize", model, "--file", EVALUATION, "--ids")
               for model in (file, MODEL, made.parent)]
        self.assertEqual(ids[0], ids[1])
        self.assertEqual(ids[0], ids[2])
        evaluated = self.run_json("evaluate", made.parent, "--text", EVALUATION, "--limit", 2,
                                  "--convention", "llamacpp512", "--against", file)
        self.assertIn("kl", str(evaluated))

    def test_inspect_and_measure_take_a_file(self):
        file = self.convert("tiny.gguf", "--q8", "ffn_down")
        shown = self.run_karat("inspect", file)
        self.assertIn("Q8_0", shown)
        self.assertIn("BF16", shown)
        report = self.run_json("measure", file, "--metric", "magnitude", "--out", self.folder / "scores")
        self.assertEqual(len(report["tensors"]), 28)

    def test_a_split_model_with_blocks_runs_and_quantizes_like_the_whole_one(self):
        whole = self.convert("whole.gguf", "--q8", "ffn_down", "attn_k", "token_embd")
        self.convert("parts.gguf", "--q8", "ffn_down", "attn_k", "token_embd", "--split", "3")
        parts = self.folder / "parts-00001-of-00003.gguf"
        self.assertEqual(self.text(whole), self.text(parts))
        for name, model in (("a", whole), ("b", parts)):
            self.run_karat("quantize", model, "--method", "rtn", "--out", self.folder / name)
        made = [(self.folder / name / "model.safetensors").read_bytes() for name in "ab"]
        self.assertEqual(made[0], made[1])
        self.assertIn("F16", self.run_karat("inspect", self.folder / "a"))  # the embedding

    def test_files_that_are_cut_or_no_model_are_refused(self):
        file = self.convert("tiny.gguf")
        data = file.read_bytes()
        file.write_bytes(data[:len(data) // 2])
        for verb in ("inspect", "run"):
            self.assert_refused(verb, file, says="the file is damaged or its download was cut off")
        file.write_bytes(data[:100])
        self.assert_refused("tokenize", file, "--text", "a", says="the file is damaged")
        file.write_bytes(data.replace(b"smaug-bpe", b"klingon!!"))
        self.assert_refused("tokenize", file, "--text", "a", says="tokenizer.ggml.pre: got klingon!!")
        file.write_bytes(data)
        self.assert_refused("quantize", file, "--method", "rtn", "--out", file, says="tiny.gguf")
        self.assert_refused("inspect", self.folder, says=f"give the file: {file}")


if __name__ == "__main__":
    main()
