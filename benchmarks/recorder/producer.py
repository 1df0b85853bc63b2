"""Records calls as fast as it can and dies: ``python -m benchmarks.recorder.producer CALLS``.

Its memory at every twentieth of the way goes to the standard output, a JSON object per line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.recorder import workload

SAMPLES = 20


def memory(pid: int | str = "self") -> dict[str, float]:
    """Megabytes of a process: its own, and pages of files that it maps."""
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    )
    own, file, shared = (int(fields[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile", "RssShmem"))
    return {"own": own, "mapped": file + shared}


def main() -> None:
    from cajanegra import Recorder, Settings

    calls = int(sys.argv[1])
    recorder = Recorder(Settings())
    texts = workload.prompts(1_000)
    begin = time.perf_counter()
    for number in range(1, calls + 1):
        call = recorder.call(
            task="chat", provider="openai", model=workload.MODEL, prompt=texts[number % len(texts)]
        )
        call.finish(text=workload.ANSWER, tokens_used=workload.TOKENS)
        if number % max(1, calls // SAMPLES) == 0:
            seconds = time.perf_counter() - begin
            print(json.dumps({"calls": number, "seconds": seconds, **memory()}), flush=True)
    print(json.dumps({"dropped": recorder.dropped}), flush=True)
    os._exit(0)  # what is not in the database stays in the spool


if __name__ == "__main__":
    main()
