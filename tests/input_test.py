"""What users hand in: folders, the files beside weights."""
import json
import os
import shutil
import unittest

from support import EVALUATION, MODEL, TestCase, karat, read_safetensors, write_safetensors


class InputTest(TestCase):
    def copy_model(self):
        return shutil.copytree(MODEL, self.folder / "model")

    def edit_config(self, model, **changes):
        path = model / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    def perplexity(self, model, text, *arguments):
        result = self.run_json("evaluate", model, "--text", text, "--convention", "hf", "--limit", 1, *arguments)
        return result["perplexity"]

    # The checkpoint --------------------------------------------------------------------------------

    def test_unknown_keys_and_tensors_are_told_once(self):
        model = self.copy_model()
        self.edit_config(model, unheard_of=1)
        header, _, data = read_safetensors(model / "model.safetensors")
        header["stray"] = {"dtype": "F32", "shape": [1], "data_offsets": [len(data), len(data) + 4]}
        write_safetensors(model / "model.safetensors", header, data + b"\0\0\xc0\x7f")  # NaN
        for verb in (["run", model, "--prompt", "a", "--max-new", "1"],
                     ["evaluate", model, "--text", EVALUATION, "--limit", "1"], ["inspect", model],
                     ["quantize", model, "--method", "rtn", "--out", self.folder / "out"],
                     ["bench", model, "--prompt", "8", "--context", "8", "--decode", "1", "--repeats", "1"]):
            done = karat(*verb, "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            for said in ("unheard_of", "stray"):
                self.assertEqual(done.stderr.count(said), 1, (verb, done.stderr))
                self.assertEqual(sum(said in warning for warning in json.loads(done.stdout)["warnings"]), 1)

    def test_a_head_of_its_own_beside_tied_embeddings_is_used(self):
        model = self.copy_model()
        tied = self.perplexity(model, EVALUATION)
        header, _, data = read_safetensors(model / "model.safetensors")
        begin, end = header["model.embed_tokens.weight"]["data_offsets"]
        head = dict(header["model.embed_tokens.weight"], data_offsets=[len(data), len(data) + end - begin])
        for values, same in ((data[begin:end], True), (bytes(end - begin), False)):
            write_safetensors(model / "model.safetensors", header | {"lm_head.weight": head}, data + values)
            self.assertEqual(self.perplexity(model, EVALUATION) == tied, same)
        vocab = json.loads((model / "config.json").read_text())["vocab_size"]
        self.assertAlmostEqual(self.perplexity(model, EVALUATION), vocab, delta=1e-3 * vocab)  # all logits 0

    def test_files_beside_the_weights_make_no_difference(self):
        model = self.copy_model()
        os.symlink("../../blobs/missing", model / "consolidated.safetensors")
        (model / "other.safetensors").write_bytes(b"garbage")
        self.run_karat("quantize", model, "--method", "rtn", "--out", self.folder / "out")
        self.run_karat("evaluate", model, "--text", EVALUATION, "--limit", 1, "--save-logits", self.folder / "l")

    # Stops and what travels ------------------------------------------------------------------------

    def test_generation_config_stops_and_travels(self):
        model = self.copy_model()
        arguments = ["run", model, "--prompt", "The captain", "--max-new", "8", "--temperature", "0"]
        self.assertEqual(self.run_json(*arguments)["stop"], "length")
        vocab = json.loads((model / "config.json").read_text())["vocab_size"]
        (model / "generation_config.json").write_text(json.dumps({"eos_token_id": list(range(vocab))}))
        self.assertEqual(self.run_json(*arguments)["stop"], "eos")
        (model / "LICENSE").write_text("words")
        (model / "additional_chat_templates").mkdir()
        (model / "additional_chat_templates" / "tools.jinja").write_text("{{ x }}")
        out = self.folder / "out"
        self.run_karat("quantize", model, "--method", "rtn", "--out", out)
        for name in ("generation_config.json", "LICENSE", "additional_chat_templates/tools.jinja"):
            self.assertEqual((out / name).read_bytes(), (model / name).read_bytes())
        self.assertEqual(self.run_json("run", out, *arguments[2:])["stop"], "eos")


if __name__ == "__main__":
    unittest.main()
