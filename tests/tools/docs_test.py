#!/usr/bin/env python3
"""Checks the documents against the code: every file that a page of docs/ or README.md
names in backquotes or links to exists, every `file: Function` pair of docs/ARCHITECTURE.md
stands in that file, and every outcome class, exit code and status code has its
row in docs/errors.md."""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md")) + [ROOT / "README.md"]
ROOMS = ("study", "corpus", "proto", "store", "coordinator", "worker", "analysis", "tools", "configs", "tests", "docs", "cmake", "examples", "bench")
# `study/planner.cc`, `tests/fakes/`, `configs/a.yaml`; not `results/...` or globs
FILE = re.compile(r"`((?:%s)/[A-Za-z0-9_./-]*)`" % "|".join(ROOMS))
# `study/planner.cc: PlanStudy, CellTrials`
WALK = re.compile(r"`((?:%s)/[A-Za-z0-9_./-]+): ([A-Za-z0-9_:, ~]+)`" % "|".join(ROOMS))


class DocsTest(unittest.TestCase):
    def test_every_named_file_exists(self):
        for doc in DOCS:
            for name in FILE.findall(doc.read_text()):
                with self.subTest(doc=doc.name, file=name):
                    self.assertTrue((ROOT / name).exists(), f"{doc.name} names {name}, which is not there")

    def test_every_link_leads_to_a_file(self):
        links = 0
        for doc in DOCS:
            for link in re.findall(r"\]\(([^)#:]+)\)", doc.read_text()):
                links += 1
                with self.subTest(doc=doc.name, link=link):
                    self.assertTrue((doc.parent / link).exists(), f"{doc.name} links to {link}, which is not there")
        self.assertGreater(links, 4)

    def test_every_named_function_stands_in_its_file(self):
        pairs = 0
        for doc in DOCS:
            for name, functions in WALK.findall(doc.read_text()):
                path = ROOT / name
                with self.subTest(doc=doc.name, file=name):
                    self.assertTrue(path.is_file(), f"{doc.name} names {name}, which is not there")
                    code = path.read_text()
                    for function in functions.split(","):
                        pairs += 1
                        self.assertRegex(code, r"\b%s\b" % re.escape(function.strip().split("::")[-1]),
                                         f"{doc.name}: {name} has no {function.strip()}")
        self.assertGreater(pairs, 15, "the walk of a trial names the functions that it passes")

    def test_errors_md_has_every_outcome_and_exit_code(self):
        text = (ROOT / "docs/errors.md").read_text()
        outcomes = re.findall(r'\{TrialOutcome::k\w+, "(\w+)"\}', (ROOT / "study/trial_outcome.cc").read_text())
        self.assertGreater(len(outcomes), 8)
        for word in outcomes:
            self.assertIn(f"| `{word}` |", text)
        codes = re.findall(r"constexpr int kExit\w+ = (\d+);", (ROOT / "tools/isoflop/command.h").read_text())
        self.assertGreater(len(codes), 5)
        for code in codes:
            self.assertRegex(text, r"(?m)^\| %s \|" % code)
        contract = (ROOT / "docs/trainer_contract.md").read_text()
        for code in re.findall(r"constexpr int kExit\w+ = (\d+);", (ROOT / "study/trial_outcome.h").read_text()):
            self.assertRegex(contract, r"\b%s\b" % code)

    def test_errors_md_has_every_code_of_the_analysis(self):
        header = (ROOT / "analysis/analysis_result.h").read_text()
        codes = re.findall(r"^  (k\w+),$", re.search(r"enum class Code \{(.*?)\n\};", header, re.S)[1], re.M)
        self.assertGreater(len(codes), 25)
        rows = re.findall(r"(?m)^\| `(k\w+)` \|", (ROOT / "docs/errors.md").read_text())
        self.assertEqual(codes, rows, "docs/errors.md tells each code of analysis_result.h, in its order")


if __name__ == "__main__":
    unittest.main(verbosity=1, argv=sys.argv[:1])
