"""A real browser for the tests: headless Chromium over its debugging pipe, which needs no library.

Messages of the DevTools protocol are JSON, each ended by a zero byte, on file descriptors 3 and 4.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

_PATIENCE_S = 60.0


def find_chromium() -> str | None:
    """The browser's program, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A headless Chromium and its page: what this says on the console and every request are kept.

    Parameters
    ----------
    program
        Chromium.
    profile
        An empty folder.
    """

    def __init__(self, program: str, profile: Path) -> None:
        self.console: list[str] = []
        self.requests: list[str] = []
        self._number = 0
        self._waiting = b""
        self._session = self._context = ""
        there, self._write = os.pipe()
        self._read, here = os.pipe()

        def descriptors() -> None:
            # first out of the way: either may be 3 or 4
            a, b = os.dup(there), os.dup(here)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self._process = subprocess.Popen(
            [
                program, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}",
                "--no-first-run", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--hide-scrollbars", "--disable-background-networking", "--disable-component-update",
                "about:blank",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=descriptors, pass_fds=(3, 4), close_fds=True, start_new_session=True,
        )  # fmt: skip
        os.close(there)
        os.close(here)

    def new_page(self) -> None:
        """Leave the page for an empty one, which knows nothing of those before."""
        self._session = ""
        if self._context:
            self.call("Target.disposeBrowserContext", browserContextId=self._context)
        self._context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=self._context)
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        self.console, self.requests = [], []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command of the protocol and wait for its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._read], [], [], max(deadline - time.monotonic(), 0.0))
            if not ready:
                raise TimeoutError("Chromium does not answer")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise RuntimeError(f"Chromium ended: {self._process.poll()}")
            self._waiting += part
        text, _, self._waiting = self._waiting.partition(b"\0")
        message = dict(json.loads(text))
        self._note(message)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("sessionId", "") != self._session:
            return  # of a page that was left
        parameters = message.get("params", {})
        match message.get("method"):
            case "Runtime.consoleAPICalled":
                self.console.append(json.dumps(parameters["args"]))
            case "Runtime.exceptionThrown":
                self.console.append(json.dumps(parameters["exceptionDetails"]))
            case "Log.entryAdded":
                self.console.append(parameters["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Of the window [CSS pixels]."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if mobile else 1, mobile=mobile,
        )  # fmt: skip
        self.call("Emulation.setTouchEmulationEnabled", enabled=mobile)

    def open(self, path: Path) -> None:
        """Open a page and wait until it says that it is drawn, or that it cannot be."""
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait(
            "document.documentElement?.dataset.ready || document.getElementById('failure')?.hidden === false"
        )

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + _PATIENCE_S
        while not self.value(f"Boolean({condition})"):
            if time.monotonic() > deadline:
                raise TimeoutError(condition)
            time.sleep(0.05)

    def value(self, expression: str) -> Any:
        """Of an expression, awaited if it is a promise."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def place(self, selector: str) -> tuple[float, float, float, float]:
        """Scroll to an element; its left, top, width and height in the window."""
        return tuple(
            self.value(
                f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
                "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
                "return [b.left, b.top, b.width, b.height]; })()"
            )
        )

    def move(self, x: float, y: float) -> None:
        """Move the pointer."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        """Press and release the button of the pointer."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def tap(self, x: float, y: float) -> None:
        """Touch the screen."""
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def key(self, name: str) -> None:
        """Press a key, such as ``ArrowUp`` or ``Escape``."""
        code = {
            "Escape": 27,
            "Enter": 13,
            "Tab": 9,
            "ArrowUp": 38,
            "ArrowDown": 40,
            "ArrowLeft": 37,
            "ArrowRight": 39,
        }
        text = {"text": "\r"} if name == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind, key=name, code=name, windowsVirtualKeyCode=code.get(name, 0),
                **(text if kind == "keyDown" else {}),
            )  # fmt: skip

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """The page as a PNG file."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self) -> bytes:
        """The page as it is printed."""
        answer = self.call("Page.printToPDF", printBackground=False, preferCSSPageSize=True)
        return base64.b64decode(answer["data"])
