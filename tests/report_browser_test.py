"""karat report in headless Chromium: legible when narrow or dark, and asks for nothing."""
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import unittest

from report_example import example
from support import TestCase, main

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


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
    main()
