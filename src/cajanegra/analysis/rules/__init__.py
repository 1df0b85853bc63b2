"""The rules by which failures get a kind and a cause: one table, read from top to bottom, first match wins."""

from __future__ import annotations

from cajanegra.analysis.phrases import Rule
from cajanegra.analysis.rules.access import ACCESS
from cajanegra.analysis.rules.answers import ANSWERS as ANSWERS
from cajanegra.analysis.rules.answers import ANSWERS_CUT
from cajanegra.analysis.rules.answers import VALIDATION as VALIDATION
from cajanegra.analysis.rules.limits import LIMITS
from cajanegra.analysis.rules.network import NETWORK, NETWORK_CAUSES
from cajanegra.analysis.rules.requests import REQUESTS, REQUESTS_BROAD, TOOLS
from cajanegra.analysis.rules.service import SERVICE
from cajanegra.analysis.rules.topics import TOPICS as TOPICS
from cajanegra.analysis.rules.vague import VAGUE as VAGUE

RULES: tuple[Rule, ...] = (
    *VALIDATION,
    *NETWORK_CAUSES,
    *LIMITS,
    *TOOLS,
    *REQUESTS,
    *ACCESS,
    *REQUESTS_BROAD,
    *SERVICE,
    *NETWORK,
    *ANSWERS_CUT,
    *ANSWERS,
)
