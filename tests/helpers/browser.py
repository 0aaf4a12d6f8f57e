"""Pages in headless Chromium: a script of the test's own runs in a copy of the page, and what it
leaves is read from the page that Chromium prints."""

from __future__ import annotations

import html
import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

_MARK = "driven-result"
_SCRIPT = """
<script>
(async () => {
  const left = document.createElement("pre");
  left.id = "%(mark)s";
  try { left.textContent = JSON.stringify(await (async () => { %(script)s })()); }
  catch (error) { left.textContent = JSON.stringify({ failed: String(error) }); }
  document.body.append(left);
})();
</script>
"""


def chromium() -> str:
    """The browser; skips the test where there is none."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    return found


def axe() -> str:
    """The text of axe-core; skips the test where its wheel is not installed."""
    spec = importlib.util.find_spec("axe_playwright_python")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("axe-playwright-python is not installed (pip install --no-deps)")
    return Path(spec.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8")


def driven(page: Path, script: str, *, width: int = 1280, dark: bool = False, before: str = "",
           folder: Path) -> Any:  # fmt: skip
    """What a script returns in a page. before: another one, that runs first. folder: for the copy
    and the browser's own files."""
    text = page.read_text(encoding="utf-8")
    more = f"<script>{before}</script>" if before else ""
    copy = folder / "driven.html"
    own = _SCRIPT % {"mark": _MARK, "script": script}
    copy.write_text(text.replace("</body>", f"{more}{own}</body>"), encoding="utf-8")
    command = [
        chromium(), "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900",
        f"--user-data-dir={folder / 'browser'}", "--virtual-time-budget=60000", "--dump-dom",
        *(["--blink-settings=preferredColorScheme=0"] if dark else []), copy.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    found = re.search(rf'<pre id="{_MARK}">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    value = json.loads(html.unescape(found[1]))
    assert not (isinstance(value, dict) and "failed" in value), value
    return value
