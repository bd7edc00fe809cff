#!/usr/bin/env python3
"""Checks the sizes, the layers and the line widths of DESIGN.md: prints what breaks them and exits 1.

    python3 tools/size.py            check
    python3 tools/size.py --table    check, and print lines per folder
"""
import argparse
import pathlib
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAYERS = (ROOT / "cmake/libraries.cmake").read_text()
AXES = set(re.search(r"set\(axis_types ([\w ]+)\)", LAYERS).group(1).lower().split())

# folder -> most lines of one source file; the first match counts
GATES = [
    ("src/method", 200),
    ("src/tuner/shared", 400),  # the foundation of training too
    *((f"src/{axis}", 200) for axis in sorted(AXES)),
    ("src/kernel", 500),
    ("include", 150),
    ("", 400),
]
MEDIAN_GATE = 120   # of all sources under src, tests left out
FUNCTION_GATE = 60

# layer -> layers whose headers it may include (besides the public ones); DESIGN.md section 3
LOW = {"core"}
KNOWS = {
    "core": set(),
    "load": LOW | {"sentencepiece"},
    "format": LOW,
    "kernel": LOW | {"format"},
    "sentencepiece": set(),  # a module loaded at run time; src/sentencepiece/model.h says why
    "run": LOW | {"load", "format", "kernel"},
    "evaluate": LOW | {"load", "run"},
    "report": LOW | {"load", "run"},
    "task": LOW | {"load", "run", "evaluate"},
    "chat": LOW | {"load"},
    "scaling": LOW | {"load"},
    "serve": LOW | {"load", "run"},
    "model": LOW | {"load"},
    "calibrate": LOW | {"load", "model"},
    "recipe": LOW,
    **{axis: LOW | {"format", "recipe"} for axis in AXES},
    "tuner": LOW | {"load", "model", "recipe"},
    "method": LOW | AXES | {"recipe"},
    "pipeline": LOW | AXES | {"load", "format", "model", "calibrate", "recipe", "method", "run"},
    "compare": LOW | {"load", "format", "calibrate", "recipe", "selector", "pipeline", "evaluate", "report", "run"},
    "explain": LOW | {"recipe", "pipeline"},
    "train": LOW | {"format", "load", "model", "recipe", "run", "tuner"},
    "vision": LOW | {"load", "model", "tuner", "train"},
    "cli": LOW | {"load", "run"},
    "cli/torch": LOW | {"model"},
}
CODE_WIDTH, PROSE_WIDTH = 100, 120


def files(*patterns):
    """Tracked and new files, as paths relative to the root."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
                            cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return sorted(pathlib.Path(name) for name in set(listed) if (ROOT / name).exists())


def sources():
    return files("*.cpp", "*.h")


def functions(lines):
    """(first line, length) of every function body: a brace block opened at the outermost scope
    or inside a namespace or class by a line, at most two spaces deep, that ends a signature."""
    start, indent = None, ""
    for number, line in enumerate(lines, 1):
        if start is None:
            opened = re.match(r"^( {0,2})[^\s#/}].*\) ?(const|noexcept|override|try|-> [^{]+| )*\{$", line)
            opened = opened or re.match(r"^( {0,2}) *.*\) (const )?\{$", line)
            if opened and not re.match(r"^\s*(if|for|while|switch|namespace|struct|class|else)\b", line):
                start, indent = number, opened.group(1)
        elif (closed := re.match(r"^( {0,2})\}", line)) and len(closed.group(1)) <= len(indent):
            yield start, number - start + 1
            start = None


def known_to(path):
    """The layers whose headers a source may include; a layer that DESIGN.md does not name knows none."""
    torch_verbs = path.parts[1] == "cli" and "torch" in str(path)
    return KNOWS.get(path.parts[1], set()) | (KNOWS["cli/torch"] if torch_verbs else set()) | {path.parts[1], "karat"}


def wide(path, lines):
    """Lines over the width: of prose all but tables, code blocks and links that cannot be broken."""
    fenced = False
    for number, line in enumerate(lines, 1):
        prose = path.suffix == ".md"
        fenced ^= prose and line.startswith("```")
        if len(line) <= (PROSE_WIDTH if prose else CODE_WIDTH):
            continue
        if not prose or not (fenced or line.startswith(("|", "    ")) or " " not in line.strip()):
            yield f"{path}:{number}: line of {len(line)} columns"


def check(path, lines, problems):
    gate = next(limit for folder, limit in GATES if str(path).startswith(folder))
    is_test = path.name.endswith("_test.cpp") or path.parts[0] in ("tests", "fuzz")
    if len(lines) > (gate if not is_test else 500):
        problems.append(f"{path}: {len(lines)} lines, gate {gate}")
    if not is_test:
        for start, length in functions(lines):
            if length > FUNCTION_GATE:
                problems.append(f"{path}:{start}: function of {length} lines, gate {FUNCTION_GATE}")
    if path.parts[0] == "src" and not is_test:
        layer, known = path.parts[1], known_to(path)
        for number, line in enumerate(lines, 1):
            included = re.match(r'#include "([a-z]+)/', line)
            if included and included.group(1) not in known:
                problems.append(f"{path}:{number}: {layer} may not know {included.group(1)}")
    for number, line in enumerate(lines, 1):
        conditional = re.match(r"#\s*if", line)
        if conditional and path != pathlib.Path("src/core/platform.h") and "src/kernel/cpu" not in str(path):
            problems.append(f"{path}:{number}: conditional compilation outside core/platform.h")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print lines per folder")
    args = parser.parse_args()
    problems, per_folder, src_lengths = [], {}, []
    for path in sources():
        lines = (ROOT / path).read_text().splitlines()
        check(path, lines, problems)
        problems += wide(path, lines)
        per_folder.setdefault("/".join(path.parts[:2]) if len(path.parts) > 2 else path.parts[0], []).append(len(lines))
        if path.parts[0] == "src" and not path.name.endswith("_test.cpp"):
            src_lengths.append(len(lines))
    for path in files("*.md"):
        problems += wide(path, (ROOT / path).read_text().splitlines())
    if args.table:
        for folder, lengths in sorted(per_folder.items()):
            print(f"{folder:24} {len(lengths):4} files {sum(lengths):6} lines, median {statistics.median(lengths):5.0f}, longest {max(lengths)}")
    if src_lengths and statistics.median(src_lengths) > MEDIAN_GATE:
        problems.append(f"src: median of {statistics.median(src_lengths)} lines, gate {MEDIAN_GATE}")
    print("\n".join(problems) or f"sizes and layers hold: {len(src_lengths)} sources, {sum(src_lengths)} lines, median {statistics.median(src_lengths):.0f}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
