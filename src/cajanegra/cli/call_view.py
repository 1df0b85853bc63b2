"""How a call looks: as a row, as a line, and in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from cajanegra.cli import render
from cajanegra.cli.render import Column

if TYPE_CHECKING:
    from cajanegra.storage.reads import CallDetail
    from cajanegra.storage.rollups.questions import Coverage
    from cajanegra.storage.statistics import Statistics

Row = Mapping[str, Any]

_COLUMNS = (
    Column("time (UTC)"),
    Column("status"),
    Column("tenant", drop=4),
    Column("module", drop=2),
    Column("task", drop=1),
    Column("provider"),
    Column("ms", number=True),
    Column("tokens", number=True, drop=3),
    Column("failure", drop=5),
    Column("request id"),
)


def table(rows: Iterable[Row]) -> str:
    """Calls, one a row, with as much of each as the terminal has room for."""
    return render.table(_COLUMNS, [_cells(row) for row in rows])


def _cells(row: Row) -> list[Any]:
    return [
        render.short_moment(row["created_at"]),
        render.state(row["status"]),
        render.cut(row["tenant_id"], 12),
        render.cut(row["module"], 12),
        render.cut(row["task"], 14),
        render.cut(row["provider_used"], 9),
        render.count(row["processing_time_ms"]),
        render.count(row["tokens_used"]),
        render.cut(row["error_code"], 18),
        row["request_id"],
    ]


def line_heading() -> str:
    """What stands above the lines of a tail."""
    return f"{'time (UTC)':<14}  {'status':<8}  {'provider':<10}  {'ms':>7}  request id"


def line(row: Row) -> str:
    """A call on one line."""
    status = render.state(row["status"]) + " " * (8 - len(row["status"] or "-"))
    provider, failure = render.cut(row["provider_used"], 10), render.cut(row["error_code"], 18)
    time, ms = render.short_moment(row["created_at"]) or "-", render.count(row["processing_time_ms"]) or "-"
    end = f"  {failure}" if failure else ""
    return f"{time:<14}  {status}  {provider:<10}  {ms:>7}  {row['request_id']}{end}"


def detail(found: CallDetail) -> str:
    """All that is known of a call."""
    row = found.call
    request, response = _mapping(row["request_metadata"]), _mapping(row["response_metadata"])
    parts = [
        f"{render.heading('Call ' + row['request_id'])}  {render.state(row['status'])}",
        render.facts(_asked(row)),
        render.heading("Answered" if row["error_code"] is None else "Not answered"),
        render.facts(_answered(row, response)),
    ]
    if request:
        parts += [render.heading("Request metadata"), render.facts(list(_flat(request)))]
    parts += [render.heading("Recovery"), _timeline(found.steps, row)]
    for pattern in found.patterns:
        resolution = render.state(pattern["resolution_status"])
        parts += [
            f"{render.heading('Why: ' + pattern['error_pattern'])}  ({resolution})",
            render.wrap(f"Probably: {pattern['probable_cause']}"),
            render.wrap(f"What to do: {pattern['suggested_action']}"),
        ]
    if found.prompt is not None:
        parts += [render.heading("Prompt"), render.wrap(_text(found.prompt))]
    if found.answer is not None:
        parts += [render.heading("Answer"), render.wrap(found.answer)]
    return "\n".join(parts)


def statistics(found: Statistics) -> str:
    """What a set of calls comes to."""
    latency = found.latency
    totals = [
        ("calls", render.count(found.total)),
        ("answered", f"{render.count(found.answered)}  ({render.share(found.answered, found.total)})"),
        (
            "  after recovery",
            f"{render.count(found.recovered)}  ({render.share(found.recovered, found.total)})",
        ),
        ("not answered", f"{render.count(found.failed)}  ({render.share(found.failed, found.total)})"),
        ("tokens", render.count(found.tokens)),
        ("time p50", _ms(latency.p50_ms)),
        ("time p95", _ms(latency.p95_ms)),
        ("time p99", _ms(latency.p99_ms)),
    ]
    parts = [render.facts(totals)]
    groups = {
        "status": found.by_status,
        "provider": found.by_provider,
        "module": found.by_module,
        "task": found.by_task,
        "failure kind": found.by_error_code,
    }
    for name, counts in groups.items():
        if counts:
            rows = [
                [value or "(none)", render.count(number), render.share(number, found.total)]
                for value, number in counts.items()
            ]
            headings = [Column(name), Column("calls", number=True), Column("share", number=True)]
            parts.append(render.table(headings, rows))
    return "\n\n".join(parts)


def coverage(found: Coverage) -> Iterator[str]:
    """What has to be known of an answer that is not all that was asked for."""
    if found.counted_since is not None:
        yield (
            f"What no counts are kept of is of the calls since {found.counted_since:%Y-%m-%d %H:%M:%S} UTC: "
            "there are too many to look at all. Ask for less time, or see 'cajanegra rollups rebuild --help'."
        )
    if found.whole_hours:
        yield "The first or last hour is counted whole, since its calls have been deleted."


def _asked(row: Row) -> list[tuple[str, Any]]:
    return [
        ("begun (UTC)", render.moment(row["created_at"])),
        ("tenant", row["tenant_id"]),
        ("module", row["module"]),
        ("user", row["user_id"]),
        ("task", row["task"]),
        ("prompt", f"{render.count(row['prompt_length'])} characters"),
        ("prompt SHA-256", row["prompt_hash"]),
        ("model asked for", row["model_requested"]),
        ("temperature", row["temperature"]),
        ("max tokens", row["max_tokens"]),
    ]


def _answered(row: Row, response: Mapping[str, Any]) -> list[tuple[str, Any]]:
    length = row["response_content_length"]
    return [
        ("provider", row["provider_used"]),
        ("model", row["provider_model"]),
        ("fallback", row["fallback_used"]),
        ("time", _ms(row["processing_time_ms"])),
        ("retries", row["retry_count"] or None),
        ("answer", f"{render.count(length)} characters" if length is not None else None),
        ("tokens", render.count(row["tokens_used"])),
        ("confidence", row["confidence_score"]),
        ("failure", row["error_code"]),
        ("message", render.cut(row["error_message"], 400)),
        ("feedback", row["user_feedback"]),
        ("correction", row["correction_applied"]),
        *_flat(response),
    ]


def _timeline(steps: Sequence[Row], row: Row) -> str:
    if not steps:
        return "  none was needed" if row["error_code"] is None else "  none was possible"
    return "\n".join(_step(step, _mapping(step["recovery_result"])) for step in steps)


def _step(step: Row, result: Mapping[str, Any]) -> str:
    trigger = _mapping(result.get("trigger"))
    answered = step["was_successful"] == "true"
    mark = click.style("✓", fg="green") if answered else click.style("✗", fg="red")
    action = render.printable(f"{step['strategy_name']}: {step['action_taken']}")
    failure = " ".join(
        str(trigger[name]) for name in ("provider", "kind", "http_status") if trigger.get(name)
    )
    outcome = "answered" if answered else str(result.get("outcome") or "failed")
    told = [
        ("after", ": ".join(text for text in (failure, render.cut(trigger.get("message"), 160)) if text)),
        ("why", result.get("reason")),
        ("waited", _waited(result)),
        ("outcome", ", ".join(text for text in (outcome, _ms(step["recovery_time_ms"])) if text)),
    ]
    return f"  {step['step_number'] or '-'}. {mark} {action}\n{render.facts(told, indent=7)}"


def _waited(result: Mapping[str, Any]) -> str | None:
    taken, asked = result.get("wait_taken"), result.get("wait_asked")
    if not taken and asked is None:
        return None
    words = f"{taken:.1f} s" if taken else "not at all"
    return words if asked is None else f"{words} ({asked:g} s was asked for)"


def _flat(metadata: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        (name, value if isinstance(value, str | int | float) else render.to_json(value, lines=True))
        for name, value in metadata.items()
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    return "\n\n".join(f"{m.get('role')}: {m.get('content')}" for m in prompt if isinstance(m, Mapping))


def _ms(number: float | None) -> str | None:
    return None if number is None else f"{number:,.0f} ms"
