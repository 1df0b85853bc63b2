"""How each gateway is started in front of the upstream, and where it is asked."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-bench" / "bin"
NODE_PEERS = ROOT / ".venv-bench" / "node"
MODEL = "gpt-4o-mini"
PATH = "/v1/chat/completions"
LITELLM_KEY = f"sk-{secrets.token_hex(16)}"
"""Without one it does not start."""


@dataclass(frozen=True)
class Contestant:
    """A gateway as it is run; without a command it is none, and the upstream is asked itself."""

    name: str
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    missing: str = ""
    """Why it cannot be run here."""


def upstream_command(port: int, delay: float = 0, pause: float = 0) -> list[str]:
    """What starts a provider: it takes ``delay`` seconds to answer, and ``pause`` between two events."""
    return [sys.executable, "-m", "benchmarks.gateway.upstream", str(port), str(delay), str(pause)]


def contestants(directory: Path, port: int, upstream: int) -> list[Contestant]:
    """All of them, with their settings written to the directory."""
    return [
        Contestant("direct"),
        _cajanegra(directory, port, upstream),
        _nginx(directory, port, upstream),
        _portkey(port, upstream),
        _litellm(directory, port, upstream),
    ]


def _cajanegra(directory: Path, port: int, upstream: int) -> Contestant:
    url = f"http://127.0.0.1:{upstream}/v1"
    (directory / "cajanegra.toml").write_text(
        f'[[providers]]\nname = "upstream"\nbase_url = "{url}"\nmodels = ["{MODEL}"]\n'
    )
    python = [sys.executable, "-m", "cajanegra"]
    database = ["--db", f"sqlite:///{directory}/calls.db"]
    own = {"XDG_STATE_HOME": str(directory), "CAJANEGRA_CONFIG": str(directory / "cajanegra.toml")}
    environment = {**os.environ, **own}
    subprocess.run([*python, "db", "upgrade", *database], env=environment, check=True, capture_output=True)
    made = subprocess.run(
        [*python, "keys", "create", "--tenant", "acme", "--role", "writer", *database],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    headers = {"authorization": f"Bearer {made.stdout.strip()}"}
    return Contestant("cajanegra", [*python, "serve", "--port", str(port), *database], own, headers)


def _nginx(directory: Path, port: int, upstream: int) -> Contestant:
    program = shutil.which("nginx")
    if program is None:
        return Contestant("nginx", missing="nginx is not installed")
    configuration = directory / "nginx.conf"
    configuration.write_text(
        "worker_processes 1;\ndaemon off;\n"
        f"pid {directory}/nginx.pid;\nerror_log {directory}/nginx.log;\n"
        "events { worker_connections 1024; }\nhttp { access_log off;\n"
        f"upstream u {{ server 127.0.0.1:{upstream}; keepalive 128; }}\n"
        f"server {{ listen 127.0.0.1:{port}; keepalive_requests 1000000; location / {{\n"
        'proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection "";\n'
        "proxy_buffering off; } } }\n"
    )
    return Contestant("nginx", [program, "-c", str(configuration), "-p", str(directory)])


def _portkey(port: int, upstream: int) -> Contestant:
    script = NODE_PEERS / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    node = shutil.which("node")
    if node is None or not script.exists():
        return Contestant("portkey", missing="npm could not install @portkey-ai/gateway")
    headers = {
        "authorization": "Bearer sk-none",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
    }
    command = [node, str(script), f"--port={port}", "--headless"]
    return Contestant("portkey", command, {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}, headers)


def _litellm(directory: Path, port: int, upstream: int) -> Contestant:
    program = PEERS / "litellm"
    if not program.exists():
        return Contestant("litellm", missing="pip could not install litellm[proxy]")
    parameters = {
        "model": f"openai/{MODEL}",
        "api_base": f"http://127.0.0.1:{upstream}/v1",
        "api_key": "sk-none",
    }
    configuration = directory / "litellm.json"  # JSON is YAML
    configuration.write_text(
        json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": parameters}]})
    )
    command = [str(program), "--config", str(configuration), "--port", str(port), "--num_workers", "1"]
    environment = {
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MASTER_KEY": LITELLM_KEY,
    }
    return Contestant("litellm", command, environment, {"authorization": f"Bearer {LITELLM_KEY}"})
