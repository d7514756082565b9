#!/usr/bin/env python3
"""Who may use whom: what each folder under src/ includes, what its meson.build declares, and the table of
docs/architecture.md must say the same. Prints each disagreement; exit 1 if there is one."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"

# The header of a library from outside → its dependency in meson.build.
LIBRARIES = {
    "uv.h": "uv",
    "libfyaml.h": "fyaml",
    "jansson.h": "jansson",
    "archive.h": "archive",
    "archive_entry.h": "archive",
    "xxhash.h": "xxhash",
}
SPEAKS = {"cli", "ui"}  # only these print and exit; a last word before abort() is no print
PRINTS = re.compile(r"(?<![\w.>])(?:printf|puts|putchar|perror|exit)\s*\(|\bfprintf\s*\(\s*(?:stderr|stdout)\b")


def table_rows():
    """folder → the text of its "uses" column, in the order of the table."""
    rows = {}
    for line in (ROOT / "docs/architecture.md").read_text().splitlines():
        match = re.match(r"\| `src/(\w+)` \|.*\| ([^|]+) \|$", line)
        if match:
            rows[match[1]] = match[2].strip()
    return rows


def allowed_by_table():
    allowed = {}
    rows = table_rows()
    for folder, uses in rows.items():
        if uses == "all":
            allowed[folder] = set(rows) - {folder}
        elif uses == "all above":
            allowed[folder] = set(allowed)
        else:
            allowed[folder] = {name.strip() for name in uses.split(",")} & set(rows)
    return allowed


def declared(folder):
    """The folders (NAME_dep) and the libraries that the folder's meson.build names."""
    names = set(re.findall(r"\w+", re.sub(r"#.*", "", (SRC / folder / "meson.build").read_text())))
    folders = {name[: -len("_dep")] for name in names if name.endswith("_dep")} - {folder}
    return folders, names & set(LIBRARIES.values())


def includes(folder):
    """(place, header, in quotes?) of each #include."""
    for path in sorted([*(SRC / folder).rglob("*.c"), *(SRC / folder).rglob("*.h")]):
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if match:
                yield f"{path.relative_to(ROOT)}:{number}", match[2], match[1] == '"'


def without_comments_and_strings(text):
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"'
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.S)


def check_includes(folder, folders, allowed, libraries):
    for place, header, quoted in includes(folder):
        if quoted:
            used = header.split("/")[0]
            if "/" not in header:
                yield f"{place}: \"{header}\": include by folder, \"{folder}/{header}\""
            elif used in folders and used != folder and used not in allowed:
                yield f"{place}: src/{folder} may not use src/{used}"
        elif header in LIBRARIES and LIBRARIES[header] not in libraries:
            yield f"{place}: <{header}>: {LIBRARIES[header]} is not among the dependencies of src/{folder}/meson.build"


def check_silence(folder):
    for path in sorted((SRC / folder).rglob("*.c")):
        code = without_comments_and_strings(path.read_text(errors="replace"))
        lines = code.splitlines()
        for number, line in enumerate(lines, 1):
            last_words = any("abort()" in following for following in lines[number : number + 2])
            if PRINTS.search(line) and not last_words:
                yield f"{path.relative_to(ROOT)}:{number}: only src/cli and src/ui print or exit"


def problems():
    folders = {path.parent.name for path in SRC.glob("*/meson.build")}
    table = allowed_by_table()
    for folder in sorted(folders ^ set(table)):
        yield f"docs/architecture.md: src/{folder} is {'not in the table' if folder in folders else 'in the table only'}"
    for folder in sorted(folders & set(table)):
        declared_folders, libraries = declared(folder)
        for extra in sorted(declared_folders - table[folder]):
            yield f"src/{folder}/meson.build: uses {extra}, which the table of docs/architecture.md does not allow"
        yield from check_includes(folder, folders, declared_folders, libraries)
        if folder not in SPEAKS:
            yield from check_silence(folder)


def main():
    found = list(problems())
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
