#!/usr/bin/env python3
"""tools/check_layers.py passes on this tree and finds planted breaks."""
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CHECK = ROOT / "tools" / "check_layers.py"


def run(tree):
    done = subprocess.run([sys.executable, str(CHECK), str(tree)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def planted(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return run(folder)


code, out = run(ROOT)
print(out, end="")
assert code == 0, out

code, out = planted({"study/a.h": '#include "store/b.h"\n', "store/b.h": "\n"})
assert code == 1 and "study/a.h:1: study must not include store (store/b.h)" in out, out

code, out = planted({"worker/trainer/a.cc": "\n#include <grpcpp/grpcpp.h>\n"})
assert code == 1 and "worker/trainer/a.cc:2:" in out, out

code, out = planted({"study/a.h": '#include "study/b.h"\n', "study/b.h": '#include "study/a.h"\n'})
assert code == 1 and "a cycle: study/a.h -> study/b.h -> study/a.h" in out, out

code, out = planted({"analysis/observations.cc": '#include "store/b.h"\n', "store/b.h": "\n"})
assert code == 0, out
code, out = planted({"analysis/law_fit.cc": '#include "store/b.h"\n', "store/b.h": "\n"})
assert code == 1, out

code, out = planted({"utils/a.h": "\n"})
assert code == 1 and "no room" in out, out
print("check_layers_test: planted breaks found")
