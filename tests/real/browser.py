"""A real Chromium, driven over WebDriver (w3.org/TR/webdriver) and nothing else."""

import base64
import http.client
import json
import subprocess
from pathlib import Path
from typing import Any, Self

from tests.real.conftest import free_port, until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"      # how the standard names an element
OPTIONS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]


class Browser:
    """One window of a browser with a profile of its own; everything in it is done as a person would."""

    def __init__(self, folder: Path, address: str) -> None:
        self._port, self.address = free_port(), address
        self._driver = subprocess.Popen(
            ["chromedriver", f"--port={self._port}", f"--log-path={folder / 'chromedriver.log'}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self._session = ""
        until(self._ready, 30)
        options = {"args": [*OPTIONS, f"--user-data-dir={folder / 'profile'}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", self._session)
        finally:
            self._driver.terminate()
            self._driver.wait(20)

    def go(self, path: str) -> None:
        """Open a page and wait until it is there."""
        self._ask("POST", f"{self._session}/url", {"url": f"{self.address}{path}"})

    def run(self, script: str, *given: Any) -> Any:
        """What a function of JavaScript returns, waited for if it is a promise."""
        end = "(...arguments).then(done, (error) => done('error: ' + error))"
        whole = f"const done = arguments[arguments.length - 1]; (async (...given) => {{ {script} }}){end}"
        return self._ask("POST", f"{self._session}/execute/async", {"script": whole, "args": list(given)})

    def find(self, css: str) -> str:
        """An element, by a selector of CSS."""
        return str(self._ask("POST", f"{self._session}/element", {"using": "css selector", "value": css})[ELEMENT])

    def click(self, css: str) -> None:
        self._ask("POST", f"{self._session}/element/{self.find(css)}/click", {})

    def write(self, css: str, text: str) -> None:
        self._ask("POST", f"{self._session}/element/{self.find(css)}/value", {"text": text})

    def keys(self, *keys: str) -> None:
        """Press keys, one after the other."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("POST", f"{self._session}/actions", {"actions": [{"type": "key", "id": "k", "actions": actions}]})

    def text(self) -> str:
        return str(self.run("return document.body ? document.body.innerText : ''"))     # none: a page is on its way

    def screen(self, width: int, height: int, scheme: str = "light") -> None:
        """A screen of this size, light or dark; one of at most 500 pixels is a phone's."""
        phone = width <= 500
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.command("Emulation.setDeviceMetricsOverride", **size)
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def command(self, name: str, **given: Any) -> Any:
        """A command of Chromium's own, such as what no person can do."""
        return self._ask("POST", f"{self._session}/goog/cdp/execute", {"cmd": name, "params": given})

    def picture(self, file: Path, *, whole: bool = False) -> None:
        """A picture of the window, or of the whole page."""
        shot = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """What the browser complained of since this was asked last: scripts that failed, what the policy forbade."""
        found = self._ask("POST", f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in found if entry["level"] == "SEVERE"]

    def _ready(self) -> bool:
        try:
            return bool(self._ask("GET", "/status")["ready"])
        except OSError:
            return False

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = json.loads(connection.getresponse().read())
        connection.close()
        value = answer["value"]
        assert not (isinstance(value, dict) and "error" in value), value
        return value
