#!/usr/bin/env python3
"""Checks that every #include follows the arrows of docs/ARCHITECTURE.md.

Reads the `#include "room/file.h"` lines of every .h and .cc below the repository
and fails on a forbidden arrow, a third-party header in the wrong room, or a
cycle between files. Prints each as `file:line: what`. No build is needed.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()

# room -> rooms it may include (itself is always allowed)
ARROWS = {
    "study": set(),
    "corpus": set(),
    "proto": {"study"},
    "store": {"study"},
    "coordinator": {"study", "store", "proto"},
    "worker/agent": {"study", "proto"},
    "worker/trainer": {"study", "corpus"},
    "analysis": {"study"},
    "analysis/report": {"study", "analysis"},
    "tools": {"study", "corpus", "proto", "store", "coordinator", "worker/agent", "analysis", "analysis/report"},
}
# file -> rooms it may include beyond its room's
EXCEPTIONS = {"analysis/observations.cc": {"store"}}

# header prefix -> rooms that may include it
THIRD_PARTY = {
    "torch/": {"worker/trainer"},
    "ATen/": {"worker/trainer"},
    "c10/": {"worker/trainer"},
    "grpc": {"proto", "coordinator", "worker/agent", "tools"},
    "google/protobuf": {"proto", "coordinator", "worker/agent", "tools"},
    "SQLiteCpp/": {"store"},
    "sqlite3": {"store"},
    "Eigen/": {"analysis", "analysis/report"},
    "ceres/": {"analysis"},
    "yaml-cpp/": {"study"},
    "CLI/": {"tools", "worker/trainer"},
    "spdlog/": {"coordinator", "worker/agent", "tools"},
    "sentencepiece": {"corpus"},
}
SKIP = {"build", "tests", "bench", "examples", ".git"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')


def room_of(path):
    """The room of a path relative to the root, or None."""
    parts = pathlib.PurePosixPath(path).parts
    for depth in (2, 1):
        name = "/".join(parts[:depth])
        if len(parts) > depth and name in ARROWS:
            return name
    return None


def cycle_in(graph):
    """One cycle of files, or None."""
    state, stack = {}, []

    def visit(node):
        state[node] = 1
        stack.append(node)
        for target in graph.get(node, ()):
            if state.get(target) == 1:
                return stack[stack.index(target):] + [target]
            if target not in state:
                found = visit(target)
                if found:
                    return found
        stack.pop()
        state[node] = 2
        return None

    for node in sorted(graph):
        if node not in state:
            found = visit(node)
            if found:
                return found
    return None


def main():
    sys.setrecursionlimit(10000)
    errors, graph, files = [], {}, 0
    for path in sorted(ROOT.rglob("*")):
        relative = path.relative_to(ROOT).as_posix()
        if path.suffix not in (".h", ".cc") or relative.split("/")[0] in SKIP or relative.startswith("build"):
            continue
        room = room_of(relative)
        if room is None:
            errors.append(f"{relative}:1: no room: not below {', '.join(sorted(ARROWS))}")
            continue
        files += 1
        graph[relative] = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quoted, angled = match.groups()
            if quoted:
                target = room_of(quoted)
                if target is None:
                    if quoted.split("/")[0] in {"tests", "bench", "examples"}:
                        errors.append(f"{relative}:{number}: {room} must not include {quoted}")
                elif target != room and target not in ARROWS[room] | EXCEPTIONS.get(relative, set()):
                    allowed = ", ".join(sorted(ARROWS[room])) or "nothing of the house"
                    errors.append(f"{relative}:{number}: {room} must not include {target} ({quoted}); it may include {allowed}")
                if (ROOT / quoted).exists():
                    graph[relative].append(quoted)
            header = angled or quoted
            for prefix, rooms in THIRD_PARTY.items():
                if header.startswith(prefix) and room not in rooms:
                    errors.append(f"{relative}:{number}: {room} must not include <{header}>; only {', '.join(sorted(rooms))}")
    # A .cc beside its .h is one node of the graph of ideas; headers must not circle.
    cycle = cycle_in({f: [t for t in targets if t.endswith(".h")] for f, targets in graph.items() if f.endswith(".h")})
    if cycle:
        errors.append(f"{cycle[0]}:1: a cycle: {' -> '.join(cycle)}")
    if errors:
        print("\n".join(errors))
        print(f"check_layers: {len(errors)} forbidden in {files} files; the arrows stand in docs/ARCHITECTURE.md")
        return 1
    print(f"check_layers: {files} files, every include follows the arrows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
