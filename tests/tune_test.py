"""karat tune: what it writes is nearer to the original than rounding, and what it cannot do is refused."""
import json

from support import CALIBRATION, EVALUATION, OfOneBlock, main

TEXT = ("--calib", CALIBRATION, "--samples", 8, "--length", 96)
GRID = ("--grid", "uniform:bits=2,group=32")


class Tune(OfOneBlock):
    def kl(self, model):
        return self.run_json("evaluate", model, "--text", EVALUATION, "--convention", "hf", "--limit", 2,
                             "--against", self.model)["kl"]["mean"]

    def tune(self, name, *arguments):
        out = self.folder / name
        self.run_karat("tune", self.model, "--out", out, *GRID, *TEXT, *arguments)
        return out

    def test_tuned_models_are_nearer_to_the_original_than_rounded_ones(self):
        rounded = self.kl(self.quantize("rtn", "rtn", *GRID))
        tuned = self.tune("tuned", "--iterations", 20)
        blocks = self.tune("blocks", "--method", "efficientqat", "--tuner", "block-ap:iterations=20")
        trained = self.tune("trained", "--method", "efficientqat", "--tuner",
                            "block-ap:iterations=20+e2e-qp:iterations=8,lr=0.005")
        self.assertLess(self.kl(tuned), 0.8 * rounded)
        self.assertLess(self.kl(blocks), 0.8 * rounded)
        self.assertLess(self.kl(trained), self.kl(blocks))
        report = json.loads((tuned / "karat_report.json").read_text())
        self.assertIn("signround:iterations=20,batch=8", report["recipe"]["tuner"])

    def test_the_axis_works_in_the_other_verbs_to_the_same_bytes(self):
        one = self.tune("one", "--iterations", 2, "--threads", 1)
        two = self.quantize("two", "rtn", *GRID, *TEXT, "--tuner", "signround", "--iterations", 2, "--threads", 2)
        self.assertEqual((one / "model.safetensors").read_bytes(), (two / "model.safetensors").read_bytes())
        table = self.run_json("compare", self.model, "--recipe", f"mine=autoround --iterations 2 {' '.join(GRID)}", *TEXT,
                              "--text", EVALUATION, "--convention", "hf", "--limit", 1)
        self.assertIn("mine", json.dumps(table))

    def test_the_default_method_learns_its_scales(self):
        for name, arguments in (("plain", ()), ("learned", ("--tuner", "e2e-qp:iterations=8,lr=0.005"))):
            self.quantize(name, "karat", "--grid", "column-trellis:bits=2", *TEXT[2:], *arguments)
        plain, learned = self.folder / "plain", self.folder / "learned"
        self.assertLess(self.kl(learned), self.kl(plain))
        sizes = [(folder / "model.safetensors").stat().st_size for folder in (plain, learned)]
        self.assertEqual(*sizes)

    def test_what_it_cannot_do_is_refused(self):
        out = ("--out", self.folder / "out", *TEXT)
        for arguments, says in ((("--method", "gptq"), "autoround, dl-qat"),
                                (("--tuner", "none"), "autoround, dl-qat"),
                                (("--tuner", "e2e-qp+block-ap"), "blocks, then"),
                                (("--tuner", "wct"), "nothing is kept"),
                                (("--tuner", "e2e-qp:loss=mse"), "kl, ce, block"),
                                (("--tuner", "e2e-qp", "--grid", "lut"), "scales"),
                                (("--grid", "nf4"), "whose scale and zero it cannot learn"),
                                (("--grid", "trellis"), "whose scale and zero it cannot learn"),
                                (("--grid", "uniform:symmetric=1"), "whose scale and zero it cannot learn"),
                                (("--transform", "hadamard"), "under a rotation"),
                                (("--iterations", 0), "iterations"),
                                (("--tuner", "no-such"), "no-such"),
                                (("--tuner", "signround:epochs=3"), "epochs")):
            with self.subTest(arguments=arguments):
                self.assert_refused("tune", self.model, *out, *arguments, says=says)
        self.assert_refused("tune", self.model, "--out", self.folder / "out", says="--calib")
        self.assert_refused("quantize", self.model, "--method", "rtn", "--iterations", 3, *out, says="iterations")


if __name__ == "__main__":
    main()
