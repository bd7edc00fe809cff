"""karat scaling on models that karat train wrote, and what it refuses."""
import json

from support import CALIBRATION, EVALUATION, MODEL, TestCase, main


class Scaling(TestCase):
    def train(self, name, width, *more, validation=EVALUATION, sequences=4):
        config = json.loads((MODEL / "config.json").read_text())
        config |= {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 1,
                   "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": width // 2}
        path = self.folder / f"{width}.json"
        path.write_text(json.dumps(config))
        self.run_karat("train", path, "--tokenizer", MODEL, "--data", CALIBRATION, "--validation", validation, "--out",
                       self.folder / name, "--steps", 10, "--batch", 4, "--sequence", 32, "--warmup", 2, "--lr", 0.02,
                       "--validation-sequences", sequences, *more)
        return self.folder / name

    def test_eff_of_a_quantizer_and_what_is_missing(self):
        runs = [self.train(f"plain-{width}", width) for width in (16, 32, 64)]
        self.assert_refused("scaling", *runs[:2], says="2 sizes of model, expected at least 3")
        coded = [self.train(f"coded-{width}", width, "--quantize", "ste:weights=2,activations=2")
                 for width in (16, 64)]
        self.assert_refused("scaling", *coded, runs[1].parent, says="no training_log.json")
        law = self.run_json("scaling", *runs, *coded, "--resamples", 20)
        self.assertEqual([kind["runs"] for kind in law["kinds"]], [3, 2])
        self.assertEqual(law["kinds"][0]["eff"], {"value": 1.0, "error": 0.0})
        self.assertTrue(law["kinds"][1]["kind"].startswith("ste:weights=2"))
        self.assertGreater(law["kinds"][1]["eff"]["value"], 0)
        self.assertIn("c and d", law["open"][0])
        sizes = [run["size"] for run in law["runs"]]
        self.assertEqual(sizes[0], 4 * 16 * 16 + 3 * 16 * 32)
        self.assertIn("not determined: c and d", self.run_karat("scaling", *runs, *coded))
        other = self.train("other", 16, validation=CALIBRATION)
        self.assert_refused("scaling", *runs, other, says="other validation text")
        longer = self.train("longer", 16, sequences=5)
        self.assert_refused("scaling", *runs, longer, says="numbers of validation sequences")


if __name__ == "__main__":
    main()
