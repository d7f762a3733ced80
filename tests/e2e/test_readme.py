"""The README's walk-through, as it is pasted."""

import re
import subprocess
import sys
from pathlib import Path

from portcullis import ROOT, environment

TOOLS = Path(sys.executable).parent


def blocks(heading):
    """The shell and Python blocks under a heading, in order."""
    text = (ROOT / "README.md").read_text()
    section = re.search(rf"^## {heading}\n(.*?)(?=^## )", text, re.M | re.S)[1]
    return re.findall(r"^```(\w+)\n(.*?)^```$", section, re.M | re.S)


def test_the_walk_through_works_as_pasted(own):
    gate = own()
    script = ["set -eu"]
    for number, (language, code) in enumerate(blocks("Walk through it")):
        script.append(f"echo '@@{number}'")
        # The packages are in the tests' own environment; the gate is on a port of the kernel's choice.
        lines = [line for line in code.splitlines() if not re.search(r"pip install|-m venv|^source data/dev.env$", line)]
        code = "\n".join(lines).replace("http://127.0.0.1:9901", gate.admin_url)
        if language == "python":
            code = f"python3 - <<'PASTED'\n{code}\nPASTED"
        # A changed file takes a moment; a reader is slower than a shell.
        code = re.sub(r"^(echo 'permit\(' .*)$", r"\1; until curl -s $ADMIN/readyz | grep -q cedar; do sleep 0.05; done", code, flags=re.M)  # fmt: skip
        script.append(code)
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=gate.data.parent,
        env=environment()
        | gate.env
        | {"PATH": f"{TOOLS}:/usr/bin:/bin", "ADMIN": gate.admin_url, "AWS_CONFIG_FILE": "/dev/null"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    statuses = re.findall(r"HTTP/1.1 (\d+)", done.stdout)
    assert statuses == ["401", "403", "200", "200", "401"], done.stdout
    for said in ('"no_permit"', '"degraded"', '"token_revoked"', "WWW-Authenticate|www-authenticate"):
        assert re.search(said, done.stdout), said
    assert "petstore/readers.cedar" in done.stdout, "the broken file is named"
