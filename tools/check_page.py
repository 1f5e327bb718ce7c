#!/usr/bin/env python3
"""Opens an HTML file in headless Chromium and fails on a console error, an
uncaught exception or a request that leaves the file.

    tools/check_page.py report.html --screenshot page.png [--width 1100] [--height 1600]
        [--full] [--wait-for 'document.querySelectorAll(".js-plotly-plot").length > 3']
        [--print 'document.title'] [--scroll-to '#section-3'] [--no-webgl]

Speaks the DevTools protocol over a pipe; needs only Chromium and Python.
"""
import argparse
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

FULL_PIECE = 4000  # pixels


class Browser:
    """One headless Chromium and its DevTools pipe."""

    def __init__(self, webgl=True):
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if program is None:
            sys.exit("check_page: no Chromium on PATH\ncure: tools/setup.sh --with-browser")
        self.profile = tempfile.mkdtemp(prefix="isoflop-page-")
        to_browser, self.write_end = os.pipe()
        self.read_end, from_browser = os.pipe()

        def wire():
            # Chromium reads commands from descriptor 3 and answers on 4.
            a, b = os.dup(to_browser), os.dup(from_browser)
            os.dup2(a, 3)
            os.dup2(b, 4)

        flags = ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-dev-shm-usage",
                 "--hide-scrollbars", "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 "--no-first-run", f"--user-data-dir={self.profile}"]
        flags += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"] if webgl else ["--disable-gpu", "--disable-3d-apis"]
        self.process = subprocess.Popen([program, *flags], preexec_fn=wire, close_fds=False,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.number, self.events = b"", 0, []

    def receive(self, deadline):
        import select
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.read_end], [], [], left)[0]:
                raise TimeoutError("Chromium did not answer in time")
            chunk = os.read(self.read_end, 1 << 20)
            if not chunk:
                raise EOFError("Chromium closed its pipe")
            self.buffer += chunk
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method, session=None, seconds=60, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if session:
            request["sessionId"] = session
        os.write(self.write_end, json.dumps(request).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while True:
            answer = self.receive(deadline)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("page")
    parser.add_argument("--screenshot")
    parser.add_argument("--width", type=int, default=1100)
    parser.add_argument("--height", type=int, default=1600)
    parser.add_argument("--full", action="store_true", help="the whole page, not one screen")
    parser.add_argument("--wait-for", help="a JavaScript expression that must become true")
    parser.add_argument("--seconds", type=float, default=60, help="the longest wait")
    parser.add_argument("--scroll-to", help="a CSS selector to bring to the top")
    parser.add_argument("--print", action="append", default=[], dest="expressions", help="a JavaScript expression to print")
    parser.add_argument("--no-webgl", action="store_true")
    args = parser.parse_args()

    browser = Browser(webgl=not args.no_webgl)
    problems = []
    try:
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            browser.call(f"{domain}.enable", session)
        browser.call("Emulation.setDeviceMetricsOverride", session, width=args.width, height=args.height,
                     deviceScaleFactor=1, mobile=False)

        def evaluate(expression):
            result = browser.call("Runtime.evaluate", session, expression=expression, returnByValue=True, awaitPromise=True)
            if "exceptionDetails" in result:
                raise RuntimeError(f"{expression}: {result['exceptionDetails'].get('text')}")
            return result["result"].get("value")

        browser.call("Page.navigate", session, url=pathlib.Path(args.page).resolve().as_uri())
        deadline = time.monotonic() + args.seconds
        condition = f"document.readyState === 'complete' && ({args.wait_for or 'true'})"
        while not evaluate(condition):
            if time.monotonic() > deadline:
                problems.append(f"never true within {args.seconds:.0f} s: {condition}")
                break
            evaluate("new Promise(done => setTimeout(done, 50))")
        if args.scroll_to:
            evaluate(f"document.querySelector({json.dumps(args.scroll_to)}).scrollIntoView()")
            evaluate("new Promise(done => setTimeout(done, 300))")
        for expression in args.expressions:
            print(f"{expression} = {json.dumps(evaluate(expression))}")
        if args.screenshot:
            height = evaluate("document.documentElement.scrollHeight") if args.full else 0
            # A taller picture repeats its top: the limit of a texture. So in pieces: page.png, page-2.png.
            path = pathlib.Path(args.screenshot)
            for piece, top in enumerate(range(0, max(height, 1), FULL_PIECE)):
                clip = {"x": 0, "y": top, "width": args.width, "height": min(FULL_PIECE, height - top), "scale": 1}
                picture = browser.call("Page.captureScreenshot", session, format="png", captureBeyondViewport=args.full,
                                       **({"clip": clip} if args.full else {}))
                name = path if piece == 0 else path.with_name(f"{path.stem}-{piece + 1}{path.suffix}")
                name.write_bytes(base64.b64decode(picture["data"]))
        evaluate("1")  # drains what was still under way
    finally:
        browser.close()

    requests = 0
    for event in browser.events:
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            problems.append("exception: " + details.get("exception", {}).get("description", details.get("text", "")))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            problems.append("console: " + " ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            problems.append("log: " + params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if url.split(":", 1)[0] in ("file", "data", "blob", "about"):
                requests += url.startswith("file:")
            else:
                problems.append("request to the network: " + url[:200])
    for problem in problems:
        print("check_page: " + problem)
    print(f"check_page: {pathlib.Path(args.page).name}: {len(problems)} problems, {requests} file requests, 0 expected beyond the page itself")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
