"""Metric pqi on the bundled model: scores that add up to the change of the loss, and what predicts it."""

from support import CALIBRATION, MODEL, TestCase, main

GRID = "uniform:bits=3,group=64"
TEXT = ("--calib", CALIBRATION, "--samples", 2, "--length", 64)


class LookBack(TestCase):
    def measure(self, name, *arguments):
        return self.run_json("measure", MODEL, "--metric", "pqi:nodes=4", *TEXT, "--out", self.folder / name, *arguments)

    def test_signed_scores_add_up_to_the_change_of_the_loss(self):
        report = self.measure("scores", "--grid", GRID)
        back = report["looked_back"]
        self.assertGreater(back["measured"], 0)
        self.assertLess(abs(back["difference"]), 0.02)
        self.assertIn("bits=3,group=64", back["quantized"])
        self.assertEqual(len(report["tensors"]), 28)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["scores"])

    def test_a_karat_folder_of_the_same_rounding_gives_the_same_scores(self):
        folder = self.quantize("rtn", "rtn", "--grid", GRID)
        self.measure("plain", "--grid", GRID)
        report = self.measure("folder", "--quantized", folder)
        self.assertEqual(report["looked_back"]["quantized"], "rtn")
        self.assertEqual((self.folder / "plain").read_bytes(), (self.folder / "folder").read_bytes())

    def test_explain_says_what_each_block_costs(self):
        arguments = ("measure", MODEL, "--explain", "--metric", "pqi:nodes=2", "--grid", GRID, "--intervals", "1,2", *TEXT)
        report = self.run_json(*arguments)
        self.assertEqual(len(report["blocks"]), 4)
        for change in (*report["blocks"], report["all"]):
            self.assertAlmostEqual(change["path"], change["measured"], delta=0.1 * abs(change["measured"]))
        self.assertEqual([row["intervals"] for row in report["rules"]], [1, 2])
        self.assertEqual([part["at"] for part in report["parts"]], [0.1, 0.05, 0.01, 0.005, 0.001])
        shown = self.run_karat(*arguments)
        for words in ("block 3", "second order", "part of the way", "mean_endpoints"):
            self.assertIn(words, shown)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_requests_without_sense_are_refused(self):
        out = self.folder / "scores"
        self.assert_refused("measure", MODEL, "--metric", "pqi", *TEXT, says="--out")
        self.assert_refused("measure", MODEL, "--metric", "pqi", "--out", out, says="--calib")
        self.assert_refused("measure", MODEL, "--metric", "pqi", *TEXT, "--out", out, "--quantized", MODEL,
                            says="not quantized")
        self.assert_refused("measure", MODEL, "--metric", "gradient", *TEXT, "--out", out, "--quantized", MODEL,
                            says="with a path")
        self.assert_refused("measure", MODEL, "--explain", "--metric", "fisher", *TEXT, says="pqi")


if __name__ == "__main__":
    main()
