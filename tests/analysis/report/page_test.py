#!/usr/bin/env python3
"""Opens reports of a simulated study in headless Chromium: no console error, no
request, live figures over the SVGs, and SVGs where there is no WebGL.

    page_test.py MAKE_SIMULATED_REPORT CHECK_PAGE
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

READY = "document.documentElement.dataset.plotly !== undefined"
FIGURES = 20


def check(check_page, page, wanted, *flags):
    """Runs check_page.py; `wanted` are the values of expressions."""
    command = [sys.executable, check_page, str(page), "--wait-for", READY, "--seconds", "240", *flags]
    for expression in wanted:
        command += ["--print", expression]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    print(done.stdout, done.stderr, sep="")
    assert done.returncode == 0, "the page has problems"
    for expression, value in wanted.items():
        assert f"{expression} = {value}\n" in done.stdout, f"{expression} should be {value}"


def make(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    print(done.stdout, done.stderr, sep="")
    assert done.returncode == 0, "no report was made"
    return "plotly on" in done.stdout


def png_is_large(path):
    data = pathlib.Path(path).read_bytes()
    return data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) > 50_000


def main():
    program, check_page = sys.argv[1:3]
    if not (shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")):
        print("ISOFLOP_WHOLE_TEST_SKIPPED: no Chromium on PATH (tools/setup.sh --with-browser)")
        return 0
    with tempfile.TemporaryDirectory(prefix="isoflop-page-test-") as folder:
        folder = pathlib.Path(folder)
        live, swapped = ".js-plotly-plot", "figure.swapped"
        counts = {"document.querySelectorAll('" + live + "').length": FIGURES,
                  "document.querySelectorAll('" + swapped + "').length": FIGURES,
                  "document.querySelectorAll('figure svg[role=img] > title').length": FIGURES,
                  "getComputedStyle(document.querySelector('figure .still')).display": '"none"',
                  # Nothing is wider than the page.
                  "document.documentElement.scrollWidth <= innerWidth": "true"}
        if make(program, folder / "whole"):
            shot = folder / "page.png"
            check(check_page, folder / "whole/report.html", counts, "--screenshot", str(shot))
            assert png_is_large(shot), "the picture is empty"
            # Without WebGL the surface stays an SVG, the rest goes live.
            check(check_page, folder / "whole/report.html",
                  {"document.querySelectorAll('" + swapped + "').length": FIGURES - 1,
                   "document.querySelector('#box-fig06_surface .live')": "null"}, "--no-webgl")
        # SVG only, on a phone, before the end of the study.
        make(program, folder / "part", 40, "off")
        check(check_page, folder / "part/report.html",
              {"document.documentElement.dataset.plotly": '"off"', "document.querySelectorAll('" + live + "').length": 0,
               "document.documentElement.scrollWidth <= innerWidth": "true"}, "--width", "390", "--height", "844")
        # No fit possible: the refusal is shown.
        make(program, folder / "early", 3, "off")
        check(check_page, folder / "early/report.html", {"document.querySelectorAll('.refusal').length > 0": "true"})
        html = (folder / "whole/report.html").read_text()
        assert not re.search(r'(?:src|href)="(?:https?:)?//', html), "a link that loads"
    return 0


if __name__ == "__main__":
    sys.exit(main())
