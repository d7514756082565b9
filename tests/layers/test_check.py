#!/usr/bin/env python3
"""The check of the layers must find what it is for: each case breaks one rule in a copy of the tree's shape."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import check

TABLE = """| folder | what it is | uses |
| --- | --- | --- |
| `src/base` | things | libc |
| `src/io` | more | base |
| `src/cli` | all of it | all |
"""
GOOD = {
    "docs/architecture.md": TABLE,
    "src/base/meson.build": "base_dep = declare_dependency(dependencies: [xxhash])\n",
    "src/io/meson.build": "io_dep = declare_dependency(dependencies: [base_dep, uv])\n",
    "src/cli/meson.build": "executable('skiff', dependencies: [base_dep, io_dep])\n",
    "src/base/a.c": '#include <xxhash.h>\n/* exit(1) in a comment is fine, "printf(" too */\n',
    "src/io/b.c": '#include "base/a.h"\n#include <uv.h>\n',
    "src/cli/main.c": '#include "io/b.h"\nint main(void) { puts("x"); exit(0); }\n',
}
BAD = {
    "a step upwards": ("src/base/a.c", '#include "io/b.h"\n', "src/base may not use src/io"),
    "a library not declared": ("src/io/b.c", "#include <jansson.h>\n", "jansson is not among"),
    "an include without its folder": ("src/io/b.c", '#include "b.h"\n', "include by folder"),
    "a print": ("src/io/b.c", 'void f(void) { fprintf(stderr, "x"); }\n', "only src/cli and src/ui print"),
    "an exit": ("src/io/b.c", "void f(void) { exit(1); }\n", "only src/cli and src/ui print"),
    "meson.build against the table": ("src/base/meson.build", "dependencies: [io_dep, xxhash]\n", "does not allow"),
    "a folder not in the table": ("src/net/meson.build", "", "src/net is not in the table"),
}


class CheckTest(unittest.TestCase):
    def found(self, changes):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**GOOD, **changes}.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            check.ROOT, check.SRC = pathlib.Path(folder), pathlib.Path(folder, "src")
            return list(check.problems())

    def test_a_good_tree(self):
        self.assertEqual(self.found({}), [])

    def test_each_broken_rule(self):
        for name, (path, text, expected) in BAD.items():
            with self.subTest(name):
                found = self.found({path: text})
                self.assertEqual(len(found), 1, found)
                self.assertIn(expected, found[0])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
