#!/usr/bin/env python3
"""Holds the rule at the head of src/kernel/cpu/isa/isa.h: an object compiled for one instruction set defines no symbol
that code for other CPUs could be linked to, so none outside its set's namespace and none that is weak.

    python3 tools/isa_symbols.py NM OBJECT...
"""
import pathlib
import subprocess
import sys

STRONG = ("T", "R", "D")  # code, and tables of it
PERSONALITY = "DW.ref.__gxx_personality_v0"  # a pointer that sanitizers want, and no code


def leaks(nm, path):
    """The symbols of an object in a folder isa/<set>/ that break the rule."""
    space = path.parent.name.replace("-", "_")
    own = f"_ZN5karat{len(space)}{space}"
    listed = subprocess.run([nm, "-P", "--defined-only", "--extern-only", path], capture_output=True, text=True, check=True)
    symbols = [line.split()[:2] for line in listed.stdout.splitlines()]
    assert symbols, f"{path} defines nothing"
    code = [(name, kind) for name, kind in symbols if name != PERSONALITY]
    return [f"{path}: {name} ({kind})" for name, kind in code if not name.startswith(own) or kind not in STRONG]


def main():
    nm, *objects = sys.argv[1:]
    units = [path for path in map(pathlib.Path, objects)
             if path.parent.parent.name == "isa" and path.parent.name != "neon"]  # which has no flags of its own
    found = [leak for path in units for leak in leaks(nm, path)]
    print("\n".join(found) or f"{len(units)} units of instruction sets keep to themselves")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
