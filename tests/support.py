"""What the end-to-end tests share: the command, the bundled model, and folders that clean up."""
import html.parser
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
KARAT = os.environ.get("KARAT", str(ROOT / "build" / "release" / "karat"))
MODEL = ROOT / "models" / "karat-tiny"
CALIBRATION = ROOT / "examples" / "text" / "calibration.txt"
EVALUATION = ROOT / "examples" / "text" / "evaluation.txt"
SHARED = pathlib.Path(os.environ.get("KARAT_SHARED", ROOT.parent / "shared"))


def karat(*arguments, timeout=600, **options):
    """Runs the command to its end; returns the finished process with text output."""
    return subprocess.run([KARAT, *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout, stdin=subprocess.DEVNULL, **options)


class TestCase(unittest.TestCase):
    model = MODEL  # that quantize() quantizes

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="karat-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_karat(self, *arguments):
        """Runs a verb that must succeed; returns its standard output."""
        done = karat(*arguments)
        self.assertEqual(done.returncode, 0, f"{arguments}\n{done.stderr}")
        return done.stdout

    def run_json(self, *arguments):
        return json.loads(self.run_karat(*arguments, "--json"))

    def assert_refused(self, *arguments, says):
        """The verb fails with exit code 2 and one clear line, and leaves no file behind."""
        before = sorted(self.folder.rglob("*"))
        done = karat(*arguments)
        self.assertEqual(done.returncode, 2, f"{arguments}\n{done.stdout}\n{done.stderr}")
        lines = [line for line in done.stderr.splitlines() if line.startswith("karat: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertRegex(lines[0], r"^karat: .+: got .+, expected .+")
        self.assertIn(says, lines[0])
        self.assertEqual(sorted(self.folder.rglob("*")), before, "something was left behind")

    def copy_model(self):
        """A private copy of the bundled model that a test may damage."""
        copy = self.folder / "model"
        shutil.copytree(MODEL, copy)
        return copy

    def quantize_refused(self, model, says, *arguments, calib=CALIBRATION):
        self.assert_refused("quantize", model, "--method", "gwq", "--calib", calib, "--out",
                            self.folder / "out", *arguments, says=says)

    def quantize(self, name, method, *arguments):
        """Quantizes self.model into self.folder/name and returns the folder."""
        out = self.folder / name
        data = ["--calib", CALIBRATION] if method != "rtn" else []  # rounding reads no text
        self.run_karat("quantize", self.model, "--method", method, "--out", out, *data, *arguments)
        return out


class OfOneBlock(TestCase):
    """On the bundled model's first block and its ends, where what is asked does not need all four."""
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="karat-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.model = first_blocks(pathlib.Path(folder.name) / MODEL.name, 1)


class Page(html.parser.HTMLParser):
    """Fails on tags that are not closed in order; collects tags and text."""
    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


def read_safetensors(path):
    """(header dict without metadata, metadata, data bytes) of a safetensors file."""
    raw = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    metadata = header.pop("__metadata__", {})
    return header, metadata, raw[8 + size:]


def write_safetensors(path, header, data):
    """Writes header and data exactly as given, so that a test can lie in either."""
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def first_blocks(folder, count):
    """Writes a model of the bundled one's first blocks to `folder` and returns it."""
    shutil.copytree(MODEL, folder)
    config = json.loads((MODEL / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": count}))
    header, _, data = read_safetensors(MODEL / "model.safetensors")
    kept, parts, at = {}, [], 0
    for name, entry in header.items():
        place = re.match(r"model\.layers\.(\d+)\.", name)
        if place and int(place[1]) >= count:
            continue
        begin, end = entry["data_offsets"]
        kept[name] = entry | {"data_offsets": [at, at + end - begin]}
        parts.append(data[begin:end])
        at += end - begin
    write_safetensors(folder / "model.safetensors", kept, b"".join(parts))
    return folder


def files_of(folder):
    """{relative name: bytes} of every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(pathlib.Path(folder).rglob("*")) if p.is_file()}


def main():
    """Runs a script's tests. Exits 77, which ctest reports as skipped, when one was and none failed."""
    result = unittest.main(module="__main__", exit=False).result
    sys.exit(0 if not result.skipped else 77) if result.wasSuccessful() else sys.exit(1)
