"""The folder of everything that a report reads, for the tests of its page."""
import functools
import json
import pathlib
import shutil
import tempfile
import unittest

from support import CALIBRATION, EVALUATION, MODEL, karat

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
