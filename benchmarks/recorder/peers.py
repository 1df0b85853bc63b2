"""Peers, each as its documentation has it.

Runs in the peers' environment: ``python -m benchmarks.recorder.peers NAME MODE COLLECTOR``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from benchmarks.recorder import workload

Peer = tuple[workload.Record, Callable[[], dict[str, int]]]


def opentelemetry(url: str) -> Peer:
    """OpenTelemetry's SDK with its batch processor."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces")))
    return _spans(provider)


def phoenix(url: str) -> Peer:
    """Phoenix's own registration of OpenTelemetry."""
    from phoenix.otel import register

    return _spans(
        register(
            endpoint=f"{url}/v1/traces",
            protocol="http/protobuf",
            batch=True,
            verbose=False,
            set_global_tracer_provider=False,
        )
    )


def _spans(provider: Any) -> Peer:
    tracer = provider.get_tracer("benchmark")

    def record(prompt: str) -> None:
        asked = {
            "gen_ai.request.model": workload.MODEL,
            "gen_ai.operation.name": "chat",
            "prompt.length": len(prompt),
        }
        with tracer.start_as_current_span("chat", attributes=asked) as span:
            span.set_attribute("gen_ai.usage.output_tokens", workload.TOKENS)

    def end() -> dict[str, int]:
        provider.force_flush(60_000)
        provider.shutdown()
        return {}

    return record, end


def langfuse(url: str) -> Peer:
    """Langfuse's SDK."""
    from langfuse import Langfuse

    client = Langfuse(public_key="pk-benchmark", secret_key="sk-benchmark", base_url=url)  # noqa: S106

    def record(prompt: str) -> None:
        with client.start_as_current_observation(
            name="chat", as_type="generation", model=workload.MODEL, metadata={"prompt_length": len(prompt)}
        ) as generation:
            generation.update(usage_details={"output": workload.TOKENS})

    def end() -> dict[str, int]:
        client.flush()
        client.shutdown()
        return {}

    return record, end


def mlflow(url: str) -> Peer:
    """MLflow's tracing SDK, which exports in the background."""
    import mlflow
    from mlflow.entities.trace_location import MlflowExperimentLocation

    mlflow.set_tracking_uri(url)
    mlflow.tracing.set_destination(MlflowExperimentLocation("0"))

    def record(prompt: str) -> None:
        with mlflow.start_span("chat", attributes={"model": workload.MODEL}) as span:
            span.set_attribute("prompt_length", len(prompt))
            span.set_attribute("tokens", workload.TOKENS)

    def end() -> dict[str, int]:
        mlflow.flush_trace_async_logging(terminate=True)
        return {}

    return record, end


PEERS = {"opentelemetry": opentelemetry, "phoenix": phoenix, "langfuse": langfuse, "mlflow": mlflow}

if __name__ == "__main__":
    name, mode, collector = sys.argv[1:]
    workload.measure(*PEERS[name](collector), mode)
