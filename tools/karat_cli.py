"""Runs the karat command for the scripts beside this file and reads its JSON."""
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Karat:
    def __init__(self, program, threads=None):
        self.program = str(program)
        self.threads = ["--threads", str(threads)] if threads else []

    def json(self, verb, *arguments):
        """Runs `karat VERB ARGUMENTS --json`, its progress shown, and returns what it printed."""
        command = [self.program, verb, *map(str, arguments), *self.threads, "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"failed with {done.returncode}: {' '.join(command)}")
        return json.loads(done.stdout)

    def text(self, model, prompt, tokens):
        """What the model writes after `prompt`, drawn with a fixed seed."""
        return self.json("run", model, "--prompt", prompt, "--max-new", tokens, "--temperature", 0.7, "--seed", 1)


def table(rows):
    """Rows of strings as aligned columns; all but the first right-aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown(rows):
    """The same rows as a Markdown table."""
    head, *body = rows
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *body])
