"""Headless Chromium for tests of pages: no network, messages of the console, the page after its scripts have run."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; apt-get install chromium")
OFFLINE = ("--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions",
    "--enable-logging=stderr", "--v=0", "--hide-scrollbars", "--virtual-time-budget=20000",
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """A page as the browser has it: its DOM as text, and what the console said."""

    dom: str
    console: tuple[str, ...]


def run(page: Path, *options: str) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as profile:
        command = [str(CHROMIUM), *QUIET, *OFFLINE, f"--user-data-dir={profile}", *options, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)


def show(page: Path, *options: str) -> Shown:
    """The page after loading, without network."""
    done = run(page, "--dump-dom", *options)
    return Shown(done.stdout, tuple(line for line in done.stderr.splitlines() if "CONSOLE" in line))


def measure(page: Path, script: str, width: int = 360) -> str:
    """What `script`, the body of a function of `page` (a window), returns in a frame of this width."""
    outer = page.with_name(f"{page.stem}-{width}.html")
    outer.write_text(f"""<!DOCTYPE html><title>frame</title><pre id="found"></pre>
<iframe width="{width}" height="700" style="border: 0" srcdoc="{escape(page.read_text())}"></iframe>
<script>
addEventListener("load", async () => {{
  const page = document.querySelector("iframe").contentWindow;
  document.getElementById("found").textContent = JSON.stringify(await (async () => {{ {script} }})());
}});
</script>""")
    match = re.search(r'<pre id="found">(.*?)</pre>', show(outer).dom, re.DOTALL)
    assert match, "the frame was not loaded"
    return match.group(1)
