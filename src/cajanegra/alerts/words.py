"""What an alert says to people, in their language."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from cajanegra.domain.alert import Alert, Delivery

Language = Literal["en", "es"]

_EN = {
    "new": "New error pattern: {pattern}",
    "regressed": "Error pattern came back: {pattern}",
    "escalating": "Error pattern is escalating: {pattern}",
    "failures": "{rule}: {recent} failures in {minutes} min{where}",
    "error_rate": "{rule}: {rate:.0%} of {attempts} attempts failed in {minutes} min{where}",
    "test": "This is a test of cajanegra's alerts",
    "provider": "provider",
    "module": "module",
    "message": "Message",
    "counts": "Failures: {total} since {first}, the last at {last}",
    "expected": "In the last hours: {recent}, where {expected:.0f} were to be expected",
    "pattern": "Most of them: {pattern}",
    "cause": "Probable cause",
    "action": "What to do",
    "more": "And {more} more: cajanegra errors list",
}
_ES = {
    "new": "Nuevo patrón de error: {pattern}",
    "regressed": "Ha vuelto un patrón de error: {pattern}",
    "escalating": "Un patrón de error va en aumento: {pattern}",
    "failures": "{rule}: {recent} fallos en {minutes} min{where}",
    "error_rate": "{rule}: falló el {rate:.0%} de {attempts} intentos en {minutes} min{where}",
    "test": "Esto es una prueba de las alertas de cajanegra",
    "provider": "proveedor",
    "module": "módulo",
    "message": "Mensaje",
    "counts": "Fallos: {total} desde {first}, el último a las {last}",
    "expected": "En las últimas horas: {recent}, cuando se esperaban {expected:.0f}",
    "pattern": "La mayoría: {pattern}",
    "cause": "Causa probable",
    "action": "Qué hacer",
    "more": "Y {more} más: cajanegra errors list",
}
WORDS: Mapping[Language, Mapping[str, str]] = {"en": _EN, "es": _ES}


def title(alert: Alert, language: Language) -> str:
    """The alert in one line."""
    words = WORDS[language]
    where = "".join(
        f", {words[name]} {value}"
        for name, value in (("provider", alert.provider), ("module", alert.module))
        if value
    )
    return words[alert.kind].format(
        pattern=alert.pattern,
        rule=alert.rule,
        recent=alert.recent,
        rate=alert.rate or 0,
        attempts=alert.attempts,
        minutes=alert.minutes,
        where=where,
    )


def details(delivery: Delivery, language: Language) -> list[str]:
    """What else is known, a line each."""
    alert, words = delivery.alert, WORDS[language]
    lines = []
    if alert.rule is not None and alert.pattern is not None:
        lines.append(words["pattern"].format(pattern=alert.pattern))
    if alert.template:
        lines.append(f"{words['message']}: {alert.template}")
    if alert.total is not None:
        first, last = _moment(alert.first_occurred), _moment(alert.last_occurred)
        lines.append(words["counts"].format(total=alert.total, first=first, last=last))
    if alert.expected is not None:
        lines.append(words["expected"].format(recent=alert.recent, expected=alert.expected))
    if alert.probable_cause:
        lines.append(f"{words['cause']}: {alert.probable_cause}")
    if alert.suggested_action:
        lines.append(f"{words['action']}: {alert.suggested_action}")
    if delivery.more:
        lines.append(words["more"].format(more=delivery.more))
    return lines


def _moment(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else "-"
