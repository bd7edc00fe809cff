#!/usr/bin/env python3
"""One name, one thing: no type, no alias and no inline function of a namespace is defined in two files, where
the linker would silently take either. With objects, no function or variable with a strong symbol
is defined twice either: of static libraries a linker takes the first it meets.

    python3 tools/names.py [NM OBJECT...]
"""
import re
import subprocess
import sys

from size import ROOT, sources

TEMPLATE = r"(?:template <.*> ?)?"
TYPE = re.compile(TEMPLATE + r"(?:class|struct|union|enum(?: class)?) ([\w:]+(?:<.*?>)?)(?: final)?(?: : [^{;]+)? \{")
ALIAS = re.compile(TEMPLATE + r"using (\w+) =")
FUNCTION = re.compile(TEMPLATE + r"(?:\[\[\w+\]\] )?(?:inline|constexpr|template) .*?\b([\w:]+|operator\S+)\(([^{;]*)\{")


def statements(text):
    """(line, namespace, head) of every definition with braces and of every alias at namespace scope, its head
    on one line; none in an unnamed namespace or inside another definition."""
    text = re.sub(r'R"\((.|\n)*?\)"|"(\\.|[^"\\\n])*"|\'(\\.|[^\'\\\n])\'|//.*|/\*(.|\n)*?\*/|^#.*(\\\n.*)*$',
                  lambda found: "\n" * found.group().count("\n"), text, flags=re.M)
    stack, inside, start = [], 0, 0
    for at, brace in ((found.start(), found.group()) for found in re.finditer(r"[{};]", text)):
        head = " ".join(text[start:at].split())
        if brace == "{":
            if not inside and (opened := re.fullmatch(r"(?:inline )?namespace ?([\w:]*)", head)):
                stack.append(opened.group(1))
            else:
                if not inside and "" not in stack:
                    yield text.count("\n", 0, at) + 1, "::".join(stack), head + " {"
                inside += 1
        elif brace == ";" and not inside and "" not in stack and ALIAS.match(head):
            yield text.count("\n", 0, at) + 1, "::".join(stack), head
        elif brace == "}":
            inside, stack = (inside - 1, stack) if inside else (0, stack[:-1])
        if not inside or brace != ";":
            start = at + 1


def parameters(text):
    """The types of a parameter list, as far as they tell overloads apart."""
    text = re.sub(r" = [^,)]*", "", text[:text.rfind(")")])
    return ", ".join(re.sub(r" ?\b\w+$", "", part.strip()) if " " in part.strip() else part.strip()
                     for part in text.split(","))


def definitions(text):
    """(what and its name, line) of each definition in a file that another file could hold too."""
    for line, space, head in statements(text):
        if found := TYPE.match(head) or ALIAS.match(head):
            yield f"type {space}::{found.group(1)}", line
        elif found := FUNCTION.match(head):
            yield f"function {space}::{found.group(1)}({parameters(found.group(2))})", line


def twice_in_sources():
    places = {}
    for path in sources():
        if path.parts[0] in ("src", "include"):
            for name, line in definitions((ROOT / path).read_text()):
                places.setdefault(name, {})[path] = f"{path}:{line}"
    return [f"{name}: defined at {', '.join(found.values())}" for name, found in sorted(places.items()) if len(found) > 1]


def twice_in_objects(nm, objects):
    holders = {}
    for path in objects:
        listed = subprocess.run([nm, "-P", "--defined-only", "--extern-only", path], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            name, kind = line.split()[:2]
            if kind in "TDBR":
                holders.setdefault(name, []).append(path)
    assert holders, "the objects define nothing"
    return [f"{name}: strong in {', '.join(found)}" for name, found in sorted(holders.items()) if len(found) > 1]


def main():
    found = twice_in_sources()
    if len(sys.argv) > 1:
        found += twice_in_objects(sys.argv[1], sys.argv[2:])
    print("\n".join(found) or "every name is defined once")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
