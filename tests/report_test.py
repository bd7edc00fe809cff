"""karat report: one page that is whole, escaped, and loads nothing."""
from report_example import example
from support import MODEL, Page, TestCase, main


class Report(TestCase):
    def test_page_is_whole_and_escaped(self):
        _, path = example()
        page = Page(path.read_text())
        words = "\n".join(page.text)
        for needed in ("rtn <i>&", "gwq", "hqq 4 bits", "Models", "Size and quality", "Tasks", "Layers",
                       "Sensitivities", "Provenance", "bits per weight of the linear layers", "nats per token",
                       "-0.020 ± 0.020", "McNemar", "calibration.txt", "karat evaluate "):
            self.assertTrue(needed in words, needed)
        self.assertNotIn("<i>&", path.read_text())
        # KL and perplexity of gwq and hqq, wide and narrow; plain rounding is a square, the original a diamond.
        marks = [a.get("class") for tag, a in page.tags if tag == "circle"]
        self.assertEqual(marks.count("method") % 2, 0)
        self.assertGreaterEqual(marks.count("method"), 8)
        # measure.json has two numbers a tensor, the folder with mixed widths one; both wide and narrow.
        self.assertEqual(marks.count("dot"), 2 * (2 + 1) * 28)

    def test_nothing_is_loaded(self):
        _, path = example()
        text = path.read_text()
        for tag, attributes in Page(text).tags:
            self.assertNotIn(tag, ("script", "link", "img", "iframe", "object", "embed", "base", "form"))
            self.assertFalse({"src", "href", "srcset", "action", "data", "xlink:href"} & attributes.keys())
        self.assertNotRegex(text, r"url\(|@import|https?://")
        self.assertIn("default-src 'none'", text)

    def test_same_folders_same_bytes(self):
        folder, path = example()
        again = self.folder / "again.html"
        self.run_karat("report", MODEL, folder / "rtn <i>&", folder / "gwq", folder / "mixed",
                       folder / "more", "--out", again)
        self.assertEqual(path.read_bytes(), again.read_bytes())

    def test_refusals(self):
        out = self.folder / "page.html"
        (self.folder / "empty").mkdir()
        self.assert_refused("report", self.folder / "empty", "--out", out, says="no report")
        self.assert_refused("report", self.folder / "nowhere", "--out", out, says="nowhere")
        self.assert_refused("report", MODEL, "--out", self.folder / "nowhere" / "page.html", says="nowhere")
        out.write_text("mine")
        self.assert_refused("report", MODEL, "--out", out, says="--force")
        self.assert_refused("report", MODEL, "--out", out, "--force", says="no page of Karat")
        self.assertEqual(out.read_text(), "mine")
        out.unlink()
        self.run_karat("report", MODEL, "--out", out)
        self.run_karat("report", MODEL, "--out", out, "--force")
        (self.folder / "broken").mkdir()
        (self.folder / "broken" / "x.json").write_text("{")
        self.assert_refused("report", self.folder / "broken", "--out", out, "--force", says="x.json")


if __name__ == "__main__":
    main()
