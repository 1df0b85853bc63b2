"""Finds what a message really says, inside what clients, proxies and loggers wrapped around it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cajanegra.analysis.reasons import is_vague

MAX_MESSAGE = 4_000
"""Characters of a message that are looked at."""
_MAX_DEPTH = 6
"""Levels of JSON within strings of JSON."""
_MAX_PREFIXES = 12
_SURELY_TEXT = 60
"""Characters from which on a text is taken to have letters."""
_LEAST_LETTERS = 4
"""Letters that must be left when a prefix is taken off: a text that is all prefix is the message."""

_RANKS = {
    "raw": 3,  # OpenRouter puts the answer of the provider behind it there
    **dict.fromkeys(
        ("message", "errormessage", "errordescription", "msg", "errormsg", "statusmsg", "description"), 2
    ),
    **dict.fromkeys(("error", "errors", "detail", "details"), 1),
}
"""The names under which errors carry their words, and which of two is the more telling."""
_FIELD = re.compile(
    r"\b(raw|error_?message|error_?description|message|(?:(?:error|status)_)?msg|description|errors?|details?)[\"']?"
    r"\s{0,20}[:=]\s{0,20}\[?([\"'])",
    re.IGNORECASE,
)
_STRING = {
    '"': re.compile(r'(?:[^"\\]|\\.)*+', re.DOTALL),
    "'": re.compile(r"(?:[^'\\]|\\.)*+", re.DOTALL),
}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\n", "t": " "}
_INPUT = re.compile(
    r"(?:failed_generation|input_value|payload_summary|(?:request|input)_?payload)[\"']?\s{0,3}[:=]"
)
"""What stands behind it is what the model or the user wrote, not what went wrong."""
_INPUT_WORDS = ("failed_generation", "input_value", "payload")
_QUOTES_ITS_INPUT = re.compile(r"\b(?:pars(?:e|ing)|validation errors? for|decod(?:e|ing))\b", re.IGNORECASE)
_TITLE = re.compile(r"<(?:title|h1)[^>]{0,100}>\s{0,20}([^<]{1,200})", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{0,500}>")
_REPR = re.compile(
    r"(?:\w{1,60}\()?\(?(?:\w{1,60}\()?(?:-?\d{1,12}, ?)?['\"](?=[^'\"]{0,300}['\"][,)])(?<=[(, ].)"
)
_SIGNS = re.compile(r"[\"'()]")
_STACK = re.compile(r"\n\s{0,20}(?:at |File \")")
_BLANK = r"(?:\s|\\[nrt]){0,20}"
"""What stands between the signs of JSON, also where its line breaks are escaped."""
_OBJECT = re.compile(
    rf"\s?[\[{{]{_BLANK}[\[{{]?{_BLANK}(?:[\"'}}]|\w{{1,40}}: )"  # JSON, a Python repr, a JavaScript object
    r"|\b\w{1,40}=[\"']|\(\w{1,40}: [\"(]"  # keyword arguments of Python and Swift
)

_OBJECT_SIGNS = ("{", "[", "='", '="', ': "', ": (")

REASON = (
    r"bad request|unauthorized|payment required|forbidden|not found|method not allowed|too many requests"
    r"|unprocessable (?:entity|content)|(?:payload|content|request entity) too large"
    r"|internal server error|bad gateway|service unavailable|gateway time-?out"
)
"""What stands behind a status, as a regular expression."""
_CLASS = (
    r"(?:[A-Za-z_]\w{0,60}\.){0,6}[A-Z]\w{0,60}?"
    r"(?:Error|Exception|Timeout|Failure|Interrupt|Exit)(?![A-Za-z])"
)
_STATUS = (
    r"(?:http(?:/[\d.]{1,3})?|(?:unexpected |received )?status(?: code)?|error code|code)?"
    r"[\s:=(]{0,3}[45]\d\d\b[)\]]{0,2}"
)
_WHOSE = (
    r"(?:\s(?:occurr?ed|code|message(?: we encountered)?|response|from \w{1,20}|in \w{1,20}"
    r"|raised by [\w ]{1,20}|communicating with \w{1,20}))?"
)
_ITS_STATUS = r"(?:\(?[\s:]?\d{3}\b[^:{\n]{0,30}\)?)?"
_PREFIXES = (
    r"(?:[\s·|>*#•✕⎿-]|[\"'`](?![\w-]{1,60}[\"'`]))+",
    r"\[[^\[\]\n]{1,80}\](?::\s{0,5}|\s{1,5}|(?=\[))",  # a logger's tag
    r"[\[({<]+",
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.,]{0,16}Z?\s{0,3}",
    r"(?:(?-i:ERROR|WARN(?:ING)?|INFO|DEBUG|CRITICAL|FATAL)|error,)[:\s]\s{0,3}",
    rf"{_STATUS}(?:\s\(\d{{3}}\))?(?:\s(?:{REASON})\b)?[)\]]?\s{{0,2}}[:,.\u2013-]?\s{{0,3}}",
    rf"{_CLASS}(?: {_CLASS})?\s?(?::|\s[-\u2013])\s{{0,5}}",
    r"(?-i:[A-Z][A-Za-z]{2,40}(?:\.[A-Z][A-Za-z]{1,40}){1,4}):\s{1,3}",  # a code in parts
    r"an error occurred \(\w{1,60}\) when calling the \w{1,60} operation(?: \([^)\n]{0,60}\))?:\s{0,3}",
    rf"(?:[\w.()/'-]{{1,40}}\s){{0,5}}?(?:error|exception)s?\b{_WHOSE}\s?{_ITS_STATUS}\s?(?::|\uff1a|\s[-\u2013])\s{{0,5}}",
    r"(?:something went wrong|sorry|oops|uh-oh)[.!,]\s{1,3}",
    r"failed after \d{1,4} attempts?\.?(?: last error:)?\s{0,3}",
    r"retrying [^\n]{1,200}? as it raised\s",
    r"(?:stream disconnected before completion|stream error|undefined|nil):\s{0,3}",
    r"(?:last error|details?|reason|message|body|response|caused by)\s?[:=]\s{0,3}",
    r"[^.:\n]{0,60}\bfailed with status code \d{3}[.:]?\s{1,3}",
    r"request to \S{1,300} failed,\s?",
    r"content-type:? [\w/;=. -]{1,80}?\bbody:?\s{0,3}",
    r"(?:get|post|put) [\"'][^\"'\n]{1,300}[\"']:\s{0,3}",
    r"(?:\w{1,20} ){0,5}response was:\s{0,3}",
)
_PREFIX = re.compile("|".join(_PREFIXES), re.IGNORECASE)
_SUFFIX = re.compile(
    r"\s{0,3}(?:"
    r"[(\[]?\b(?:status(?: code)?|request[ _-]?id|tid|trace[ _-]?id|session[ _-]?id|reset after)\b"
    r"[:=\s][^()\n]{0,80}[)\]]?"
    r"|[·;,(]\s?(?:retrying|attempt)\b[^\n]{0,120}"
    r"|\n?(?:received model group|available model group|litellm retried)[^\0]{0,400}"
    r"|type: \w{1,40} param: \w{1,40} code: \w{1,40}"
    r")\s{0,3}$",
    re.IGNORECASE,
)
_SUFFIX_WORDS = ("id", "status", "retry", "attempt", "reset", "model group", "param:")
_ADVICE = re.compile(
    r"(?:please|visit|see\b|learn more|try\b|retry|check|consider|make sure|ensure|did you|also\b|refer"
    r"|for (?:more|further|details|additional|troubleshooting|information|help)|you (?:can|may|should)"
    r"|if (?:you|the|this|it)|to (?:increase|learn|continue|fix|resolve|download|monitor|use)|need more"
    r"|more information|contact|add\b|upgrade|sorry|find\b|go to|go here|docs?\b|documentation)",
    re.IGNORECASE,
)
_ENDS = (". ", "\n", "! ", "? ")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


def core(message: str) -> str:
    """The part of a message that says what went wrong, without wrappers and advice."""
    text = message[:MAX_MESSAGE]
    if text[:200].lstrip().startswith("<") and (title := _TITLE.search(text)):
        import html  # only pages need it, and its table of names is large

        text = html.unescape(title[1])
    elif "<title" in text and (title := _TITLE.search(text)) and _says_it(title, text):
        text = title[1]
    elif "Traceback (most recent" in text:
        text = text.strip().rpartition("\n")[2]
    elif "\n" in text and (found := _STACK.search(text)) and found.start() > _LEAST_LETTERS:
        text = text[: found.start()]
    _, caused, cause = text.rpartition("(Caused by ")
    if caused:  # urllib3 prints an exception's arguments, strings and all
        text = _SIGNS.sub(" ", cause)
    elif found := _REPR.match(text):
        text = _SIGNS.sub(" ", text[found.end() - 1 :])
    return _without_advice(_without_wrapping(_innermost(text)))


def _says_it(title: re.Match[str], text: str) -> bool:
    """Whether a page that a message quotes has the words of the failure for its title.

    It has when they are a status, or when nothing is said before the page.
    """
    return is_vague(title[1]) or is_vague(_without_wrapping(text[: text.find("<")]))


def without_input(text: str) -> str:
    """The text without what the model or the user wrote, where a field says so."""
    if any(word in text for word in _INPUT_WORDS):
        return _INPUT.split(text, maxsplit=1)[0] or text
    return text


def _innermost(text: str, depth: int = _MAX_DEPTH) -> str:
    """The words of the most telling error object in a text, or the text."""
    text = without_input(text)
    opening = _OBJECT.search(text) if any(sign in text for sign in _OBJECT_SIGNS) else None
    if opening is None:
        return text
    head = text[: opening.start()]
    if _QUOTES_ITS_INPUT.search(head[-200:]):
        return head
    best, best_rank = "", (False, 0, 0)
    for name, value in _fields(text):
        said = _innermost(value, depth - 1) if depth and ("{" in value or "='" in value) else value
        rank = (not is_vague(said), _RANKS[name.replace("_", "").lower()], len(said))
        if said.strip() and rank > best_rank:
            best, best_rank = said, rank
    if best and (best_rank[0] or is_vague(_without_wrapping(head))):
        return best
    return head if best and _says_something(head) else best or text


def _fields(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while found := _FIELD.search(text, position):
        string = _STRING[found[2]].match(text, found.end())
        value = string[0] if string else ""
        yield found[1], _ESCAPE.sub(_unescaped, value) if "\\" in value else value
        position = found.end() + len(value)


def _unescaped(found: re.Match[str]) -> str:
    sign = found[1]
    if len(sign) == 1:
        return _ESCAPED.get(sign, sign)
    code = int(sign[1:], 16)
    return "\ufffd" if 0xD800 <= code < 0xE000 else chr(code)  # noqa: PLR2004 - halves of a character


def _without_wrapping(text: str) -> str:
    text = text.strip()
    if text[:1] == "<" and "</" in text:
        text = _TAG.sub(" ", text).strip()
    for _ in range(_MAX_PREFIXES):
        found = _PREFIX.match(text)
        if not found or not found.end() or not _has_letters(text[found.end() :]):
            break
        text = text[found.end() :]
    tail = text[-400:].lower()
    if any(word in tail for word in _SUFFIX_WORDS):
        start = max(0, len(text) - 400)
        found = _SUFFIX.search(text, start)
        if found and _has_letters(text[: found.start()]):
            text = text[: found.start()]
    text = text.rstrip(" \n\t\"'`").lstrip()
    for opening, closing in ("()", "[]", "{}"):
        if text.endswith(closing) and text.count(opening) < text.count(closing):
            text = text[:-1].rstrip()
    return text


def _says_something(head: str) -> bool:
    """Whether more than prefixes stands before an object."""
    head = head.strip()
    for _ in range(_MAX_PREFIXES):
        found = _PREFIX.match(head)
        if not found or not found.end():
            break
        head = head[found.end() :]
    return _has_letters(head)


def _has_letters(text: str) -> bool:
    return len(text) > _SURELY_TEXT or sum(map(str.isalpha, text)) >= _LEAST_LETTERS


def _without_advice(text: str) -> str:
    """What to do about it is the same for many causes, and worded anew with every release."""
    if not any(end in text for end in _ENDS):
        return text
    first, *others = _SENTENCE.split(text)
    return " ".join([first, *(other for other in others if other and not _ADVICE.match(other))])
