"""What says little: words that stand in many messages, asked last; and the words of fields instead of messages."""

from __future__ import annotations

from cajanegra.analysis.phrases import Rule
from cajanegra.domain.failure import FailureKind as Kind

VAGUE: tuple[Rule, ...] = (
    Rule(
        "provider_returned_error",
        Kind.UNKNOWN,
        ("provider returned (an |)error",),
        "a router hides what the provider behind it said",
    ),
    Rule(
        "error_without_cause",
        Kind.SERVER_ERROR,
        (
            "unable to process your request",
            "(failed|unable) to process",
            "error (has |was |)(occurred|encountered|happened)",
            "please try again later",
        ),
        "something failed, and who says so does not say what",
    ),
    Rule(
        "bad_request",
        Kind.INVALID_REQUEST,
        (
            "(bad|invalid|malformed|illegal|incorrect|improper|unacceptable|unprocessable) (request|value|values|type|types|argument|arguments|parameter|parameters|input|inputs|body|entity|message|messages|params|format|syntax|data|url|content|option|options)",
            "(unsupported|not supported|unrecognized|illegal|not permitted|not allowed|not accepted|disallowed|forbidden)",
            "(missing|is |are |field |argument |parameter )(required|missing)",
            "required (field|parameter|argument|property)",
            "(must|should|cannot|can't|may not|can only|may only) (be|have|contain|match|include|provide|use|start|end|not|follow|only|specify)",
            "expected .. (got|but|received|found|instead)",
            "(is|are) (not a |not an |not )(valid|allowed|supported)",
            "validation exception",
            "(invalid|out of range|too (small|short|large|long|big|high|low|many|few|deep))",
            "invalid argument",
            "failed precondition",
            "please (use|provide|specify|ensure|remove|include)",
        ),
        "the request is said to be wrong, and not how",
        broad=True,
    ),
)
"""Rules asked when neither a message nor a field nor a status has told the kind."""
