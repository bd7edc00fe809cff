"""karat report: one page that is whole, escaped, legible when narrow or dark, and asks for nothing."""
import functools
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

from support import CALIBRATION, EVALUATION, MODEL, Page, TestCase, karat

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TASKS = {  # as `karat evaluate --tasks … --json` prints them
    "model": "gwq", "seed": 0,
    "results": [{"task": "piqa", "items": 50, "metrics": {"acc": {"value": 0.62, "standard_error": 0.07},
                                                          "acc_norm": {"value": 0.6, "standard_error": 0.07}}}],
    "against": {"model": str(MODEL), "results": [
        {"task": "piqa", "items": 50, "metrics": {"acc": {"value": 0.64, "standard_error": 0.07}}}]},
    "paired": [{"task": "piqa", "metric": "acc", "difference": -0.02, "standard_error": 0.02,
                "mcnemar": {"first_only": 0, "second_only": 1, "p_value": 1.0}}]}


@functools.cache
def example():
    """A folder of everything that a report reads, and its page; made once for all tests."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="karat-report-"))
    unittest.addModuleCleanup(shutil.rmtree, folder)

    def run(*arguments):
        done = karat(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    cut = ("--samples", 2, "--length", 128)
    run("quantize", MODEL, "--method", "rtn", "--bits", 3, "--out", folder / "rtn <i>&")
    run("quantize", MODEL, "--method", "gwq", "--calib", CALIBRATION, *cut, "--out", folder / "gwq")
    run("quantize", MODEL, "--method", "gptq", "--bits", "3.5", "--calib", CALIBRATION, *cut, "--out", folder / "mixed")
    text = ("--text", EVALUATION, "--limit", 2)
    run("evaluate", MODEL, *text, "--save-logits", folder / "logits")
    (folder / "more").mkdir()
    for name in ("rtn <i>&", "gwq"):
        (folder / name / "evaluation.json").write_text(
            run("evaluate", folder / name, *text, "--against-logits", folder / "logits", "--json"))
    (folder / "more" / "compare.json").write_text(run("compare", MODEL, *text, "--methods", "rtn,hqq", "--json"))
    (folder / "more" / "measure.json").write_text(
        run("measure", MODEL, "--metric", "magnitude", "--out", folder / "scores", "--json"))
    (folder / "more" / "tasks.json").write_text(json.dumps(TASKS))
    page = folder / "page.html"
    run("report", MODEL, folder / "rtn <i>&", folder / "gwq", folder / "mixed", folder / "more", "--out", page)
    return folder, page


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
        self.assertEqual(out.read_text(), "mine")
        self.run_karat("report", MODEL, "--out", out, "--force")
        (self.folder / "broken").mkdir()
        (self.folder / "broken" / "x.json").write_text("{")
        self.assert_refused("report", self.folder / "broken", "--out", out, "--force", says="x.json")


class Proxy(http.server.BaseHTTPRequestHandler):
    """Serves one page for http://karat.test/ and remembers whatever is asked for."""
    page, asked = b"", []

    def do_GET(self):
        self.asked.append(self.path)
        self.send_response(200 if self.path == "http://karat.test/" else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        if self.path == "http://karat.test/":
            self.wfile.write(self.page)

    def do_CONNECT(self):
        self.asked.append("CONNECT " + self.path)
        self.send_error(502)

    def log_message(self, *_):
        pass


@unittest.skipUnless(CHROMIUM, "no Chromium here: how the page looks was not tried")
class Looks(TestCase):
    def chromium(self, *arguments):
        done = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             f"--user-data-dir={self.folder / 'profile'}", *map(str, arguments)],
            capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return done.stdout

    def shot(self, name, width, *arguments):
        """A screenshot as (width, height, bytes of the PNG); kept where KARAT_SHOTS says."""
        path = self.folder / f"{name}.png"
        self.chromium(f"--window-size={width},2400", f"--screenshot={path}", *arguments, example()[1].as_uri())
        if os.environ.get("KARAT_SHOTS"):
            shutil.copy(path, os.environ["KARAT_SHOTS"])
        raw = path.read_bytes()
        return int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big"), raw

    def test_light_dark_and_narrow(self):
        self.assertEqual(self.shot("narrow", 500)[0], 500)
        light = self.shot("light", 1000)
        dark = self.shot("dark", 1000, "--blink-settings=preferredColorScheme=0")
        self.assertEqual(light[:2], (1000, 2400))
        self.assertNotEqual(light[2], dark[2])
        self.assertGreater(len(light[2]), 100_000)  # an empty page has 20 KB

    def test_no_overflow_and_one_drawing_at_each_width(self):
        framed = self.folder / "framed.html"
        document = example()[1].read_text().replace("&", "&amp;").replace('"', "&quot;")
        for width, shown in ((400, "narrow"), (1000, "wide")):
            framed.write_text(f"""<!doctype html><iframe width="{width}" height="900" style="border:0"
              srcdoc="{document}"></iframe><p id="found"></p><script>addEventListener('load', () => {{
              const page = document.querySelector('iframe').contentDocument;
              const seen = [...page.querySelectorAll('svg')].filter(s => s.getClientRects().length);
              const loaded = page.defaultView.performance.getEntriesByType('resource').map(r => r.name);
              const sizes = seen.flatMap(s => [...s.querySelectorAll('text')].map(t =>
                parseFloat(getComputedStyle(t).fontSize) * s.clientWidth / s.viewBox.baseVal.width));
              document.getElementById('found').textContent = JSON.stringify({{
                overflow: page.documentElement.scrollWidth - {width},
                kinds: [...new Set(seen.map(s => s.getAttribute('class')))], least: Math.min(...sizes), loaded}});
              }});</script>""")
            text = self.chromium("--dump-dom", "--window-size=1200,1000", framed.as_uri())
            found = json.loads(re.search(r'<p id="found">(.*?)</p>', text).group(1))
            self.assertLessEqual(found["overflow"], 0)
            self.assertEqual(found["kinds"], [shown])
            self.assertEqual(found["loaded"], [])
            self.assertGreaterEqual(found["least"], 11)  # pixels of the smallest letters

    def test_no_request_leaves_the_page(self):
        Proxy.page, Proxy.asked = example()[1].read_bytes(), []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        self.addCleanup(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        text = self.chromium("--dump-dom", f"--proxy-server=127.0.0.1:{server.server_port}", "http://karat.test/")
        self.assertIn("Provenance", text)
        own = re.compile(r"(favicon\.ico$|^(CONNECT |https?://)[\w.-]+\.(google|googleapis|gvt1)\.com\b)")  # the browser's
        asked = [path for path in Proxy.asked if not own.search(path)]
        self.assertEqual(asked, ["http://karat.test/"])


if __name__ == "__main__":
    unittest.main()
