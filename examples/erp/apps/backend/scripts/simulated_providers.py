"""Three simulated AI providers on the ports that ``cajanegra.toml`` names, until Ctrl-C; no key is needed."""

import argparse
import signal
from contextlib import ExitStack

from llmock.chaos import ChaosSettings
from llmock.scenarios import Match, Reply
from llmock.testing import LLMockServer

CLASSIFIERS = {
    "ollama": "qwen2.5:3b",
    "ovhcloud": "Mistral-Nemo-Instruct-2407",
    "openai": "gpt-4.1-nano",
}
"""The providers, and the model of each that knows one word; their other models talk."""

parser = argparse.ArgumentParser(description="Simulate three AI providers until Ctrl-C.")
parser.add_argument(
    "--first-port", type=int, default=9101, help="the others follow it (default 9101; 0: any)"
)
parser.add_argument(
    "--trouble", type=float, default=0.3, help="share of requests that the first one refuses (default 0.3)"
)
given = parser.parse_args()

with ExitStack() as stack:
    for number, (name, classifier) in enumerate(CLASSIFIERS.items()):
        trouble = ChaosSettings(error_rates={503: given.trouble if number == 0 else 0.0})
        server = LLMockServer(port=given.first_port and given.first_port + number, chaos=trouble)
        server.state.scenarios.add(Reply("invoice", times=None, match=Match(model=classifier)))
        stack.enter_context(server)
        print(f"{name}: {server.base_url()}", flush=True)
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    signal.sigwait(ends)
