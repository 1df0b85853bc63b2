from __future__ import annotations

import json
import re
import string
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stdnum import ean, luhn
from stdnum.cl import rut
from stdnum.es import dni
from stdnum.iban import calc_check_digits

from cajanegra.domain.check_digits import _IDS_OF_DIGITS
from cajanegra.domain.redaction import MASK, redact_text
from cajanegra.domain.redactor import Redactor
from rule_examples import EXAMPLES

REDACTOR = Redactor()
DIGIT = string.digits


def digits(size: int) -> st.SearchStrategy[str]:
    return st.text(DIGIT, min_size=size, max_size=size)


def _card(prefix: str, size: int) -> st.SearchStrategy[str]:
    bodies = digits(size - len(prefix) - 1).map(lambda body: prefix + body)
    return bodies.map(lambda body: body + luhn.calc_check_digit(body))


def _grouped(number: str, separator: str) -> str:
    return separator.join(re.findall(".{1,4}", number))


CARDS = st.builds(
    _grouped,
    st.one_of(
        _card("4", 16), _card("4", 19), _card("51", 16), _card("2300", 16), _card("6011", 16), _card("62", 18),
        _card("37", 15), _card("36", 14), _card("3530", 16), _card("50", 16),
    ).filter(lambda number: len(set(number)) > 1),
    st.sampled_from(["", " ", "-", "\u00a0"]),
)  # fmt: skip
IBANS = st.builds(
    _grouped,
    st.one_of(
        digits(20).map(lambda body: f"ES00{body}"),
        digits(18).map(lambda body: f"DE00{body}"),
        digits(11).map(lambda body: f"NO00{body}"),
        st.builds("GB00{}{}".format, st.text(string.ascii_uppercase, min_size=4, max_size=4), digits(14)),
    ).map(lambda number: number[:2] + calc_check_digits(number) + number[4:]),
    st.sampled_from(["", " ", "-"]),
)
NATIONAL_IDS = st.one_of(
    digits(8).map(lambda number: f"{number}{dni.calc_check_digit(number)}"),
    digits(8).map(lambda number: f"{number}-{dni.calc_check_digit(number).lower()}"),
    digits(8).map(lambda n: f"{n[:2]}.{n[2:5]}.{n[5:]}-{dni.calc_check_digit(n)}"),
    digits(7).map(lambda number: f"X{number}{dni.calc_check_digit('0' + number)}"),
    digits(8).filter(lambda n: n[0] != "0").map(lambda n: f"{n[:2]}.{n[2:5]}.{n[5:]}-{rut.calc_check_digit(n)}"),
    digits(9).map(lambda n: "756" + n).map(lambda n: n + ean.calc_check_digit(n)),
    st.sampled_from(
        ["RCCMNL83S18D969H", "390.533.447-05", "536-90-4399", "85.07.30-033.28", "131052-308T", "AB 12 34 56 C",
         "BOXW310820HNERXN09", "2 95 10 99 126 111 93", "295109912611193", "11010519491231002X", "971013-9019902",
         "710319/2745", "001-1391820-5", "20-05536168-2", "943 476 5870", "2341 2341 2346"]
    ),
)  # fmt: skip
EMAILS = st.builds(
    "{}@{}.{}".format,
    st.text(string.ascii_letters + DIGIT + "._+-", min_size=1, max_size=30).filter(lambda text: text[0] not in ".+-"),
    st.text(string.ascii_lowercase + DIGIT, min_size=1, max_size=20),
    st.sampled_from(["example", "co.example", "es", "xn--p1ai"]),
)  # fmt: skip
PHONES = st.builds(
    "+{}{}{}".format,
    st.sampled_from(["34", "1", "49", "351"]),
    st.sampled_from(["", " ", "-", ".", " ("]),
    st.one_of(digits(9), digits(9).map(lambda n: f"{n[:3]} {n[3:6]} {n[6:]}"), digits(10).map(lambda n: f"{n[:2]}) {n[2:6]}-{n[6:]}")),
)  # fmt: skip
NAMED_PHONES = st.builds(
    "{}{}{}".format,
    st.sampled_from(["phone", "Tel.", "mobile number", "móvil", "contactPhone", "fax", "user_phone", "teléfono"]),
    st.sampled_from([": ", "=", ' is "', ' = "', " ", '\\": \\"']),
    digits(9).filter(lambda number: number[0] != "0"),
)  # fmt: skip
NAMED_IDS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["DNI", "ssn", "PESEL", "national_id", "CPF", "social security number", "passport no."]),
    st.sampled_from([": ", "=", " is ", " ", '": "']),
    digits(9),
)
PERSONAL = st.one_of(CARDS, IBANS, NATIONAL_IDS, EMAILS, PHONES, NAMED_PHONES, NAMED_IDS)

AROUND = st.text(string.ascii_letters + " \n\t\"'{}[]<>:;,!?()ñéß€\u2013\u00a0", max_size=30)
BEFORE = AROUND.filter(lambda text: not text or not (text[-1].isalnum() or text[-1] == "("))
AFTER = AROUND.filter(lambda text: not text or not text[0].isalnum())


def _core(personal: str) -> str:
    """The part that must not be left: the longest run of digits, or the address without its last label."""
    return personal.rpartition(".")[0] if "@" in personal else max(re.findall(r"\d+", personal), key=len)


def _survives(personal: str, masked: str) -> bool:
    return personal in masked or _core(personal) in masked


@given(BEFORE, PERSONAL, AFTER)
def test_personal_data_is_masked_wherever_it_stands(before: str, personal: str, after: str) -> None:
    text = f"{before}{personal}{after}"
    for masked in (REDACTOR.text(text), REDACTOR.content(text)):
        assert not _survives(personal, masked)


@given(
    st.sampled_from(["", "x\n", "Añadir:\n", "\t", 'say "', "é "]),
    PERSONAL,
    st.sampled_from(["", "\nx", '"', " \u00e9"]),
)
@example("\u00a0", "4111111111111111", "")
def test_personal_data_is_masked_in_json_text_whole_or_cut(before: str, personal: str, after: str) -> None:
    personal = personal.replace("\u00a0", " ")
    body = {"error": {"message": f"{before}{personal}{after}"}}
    for text in (json.dumps(body), json.dumps(json.dumps(body)), json.dumps(body, ensure_ascii=False)):
        assert not _survives(personal, REDACTOR.text(text))
    written = json.dumps(personal, ensure_ascii=False)[1:-1]
    assert not _survives(personal, REDACTOR.text(text.partition(written)[0] + written))


def _nested(leaf: str) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.just(leaf),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3)
            | st.dictionaries(st.sampled_from(["a", "note", "items", "user"]), inner, min_size=1, max_size=3)
        ),
        max_leaves=6,
    )


@given(PERSONAL.flatmap(lambda leaf: st.tuples(st.just(leaf), _nested(leaf))))
def test_personal_data_is_masked_inside_nested_metadata(case: tuple[str, Any]) -> None:
    leaf, value = case
    for masked in (REDACTOR.json(value), REDACTOR.content(value)):
        assert not _survives(leaf, json.dumps(masked, ensure_ascii=False))
    assert leaf not in json.dumps(REDACTOR.json({leaf: 1}), ensure_ascii=False)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to ana@acme.example today", "write to [email] today"),
        ("GET /users?email=ana%40acme.example&x=1", "GET /users?email=[email]&x=1"),
        ("call +34 612 345 678 now", "call [phone] now"),
        ("card 4111 1111 1111 1111 declined", "card [card] declined"),
        ("card 4111-1111-1111-1111 12/27 123", "card [card] 12/27 123"),
        ("4111 1111 1111 1111 5555555555554444 3782 822463 10005", "[card] [card] [card]"),
        ("4000 " * 12 + "4111 1111 1111 1111 1a", "4000 " * 12 + "[card] 1a"),
        ("IBAN ES91 2100 0418 4502 0005 1332 PAID", "IBAN [iban] PAID"),
        ("dni 12.345.678-Z", "dni [national id]"),
        ("DNI 12345678Z, NIE X1234567L", "DNI [national id], NIE [national id]"),
        ("card 4111 1111 1111 1112 is none", "card 4111 1111 1111 1112 is none"),
        ("DNI 12345678A is named", "DNI [national id] is named"),
        ("reference 12345678A is none", "reference 12345678A is none"),
        ('{"phone": "612345678", "order": "612345678"}', '{"phone": "[phone]", "order": "612345678"}'),
        ("homePhone=612345678&hotel=612345678", "homePhone=[phone]&hotel=612345678"),
        ("the prompt has 123456789 tokens", "the prompt has 123456789 tokens"),
    ],
)
def test_personal_data_is_masked_alike_in_text_and_content(text: str, masked: str) -> None:
    assert REDACTOR.text(text) == masked
    assert REDACTOR.content([{"role": "user", "content": text.replace("order", "other")}]) == [
        {"role": "user", "content": re.sub(r'((?:other": "|hotel=))612345678', r"\1[phone]", masked.replace("order", "other"))}
    ]  # fmt: skip


@pytest.mark.parametrize(
    "number",
    ["0034 612345678", "612345678", "91 123 45 67", "(555) 123-4567", "555-123-4567", "06 12 34 56 78", "(11) 91234-5678"],
)  # fmt: skip
def test_phone_numbers_as_written_at_home_are_masked_in_content_alone(number: str) -> None:
    assert REDACTOR.content(f"call {number}, please") == "call [phone], please"
    assert REDACTOR.json({"order": number}) == {"order": number}
    assert REDACTOR.json({"contact_phone": number}) != {"contact_phone": number}


@pytest.mark.parametrize(
    "text",
    [
        "invoice 2024-117 of 2026-11-24 10:29:33, total 1234567.89, 1732444173123 ms, ISBN 9783161484100",
        "20241101-0941.log of 2024-11-24T10:29:33.123456Z, EAN 4006381333931",
        "openai@4.20.1 and @types/node@20.1.0 at 0x7851288df1c0, 192.168.10.250:5432",
        "maximum context length is 131072 tokens, you requested 156652 (152556 in the messages, 4096 in the answer)",
        "order 00412345678, batch 1234567-12, sku 12-345-678, ratio 0.4111111111111111, 123 456 789 rows",
    ],
)
def test_ordinary_numbers_stay(text: str) -> None:
    assert REDACTOR.text(text) is text
    assert REDACTOR.json({"note": text})["note"] is text


ORDINARY = st.one_of(
    st.uuids().map(str).filter(lambda text: not re.search(r"(?<![a-z])\d{4}-\d{4}-\d{4}-", text)),
    st.integers(0, 4_000_000_000).map(lambda at: str(datetime.fromtimestamp(at, UTC))),
    st.integers(1_400_000_000_000, 4_000_000_000_000).map(str),
    st.integers(0, 10**10).map(str),
    st.floats(allow_nan=False).map(str).filter(lambda text: "e+" not in text),
    st.sampled_from(["gpt-4o-mini-2024-07-18", "claude-3-5-sonnet-20241022", "meta-llama/Llama-3.1-8B-Instruct"]),
    st.text(string.hexdigits.lower()[:16], min_size=32, max_size=64).map(lambda text: f"sha256-{text}"),
    st.ip_addresses().map(str),
)  # fmt: skip


@given(st.lists(ORDINARY, min_size=1, max_size=4))
def test_ids_times_counts_and_models_stay(values: list[str]) -> None:
    assert REDACTOR.json(values) is values
    text = ", ".join(values)
    assert REDACTOR.text(text) is text


@given(st.text(string.ascii_lowercase + " .,\n\u00e9\u00f1", max_size=200))
def test_words_are_never_masked(text: str) -> None:
    assert REDACTOR.text(text) is text
    assert REDACTOR.content(text) is text


@given(
    st.lists(
        PERSONAL
        | st.text(max_size=6)
        | st.sampled_from([" ", "phone ", "dni: ", "[phone]", "\\n", "=", '"']),
        max_size=6,
    ).map("".join)
)
def test_masking_twice_is_masking_once(text: str) -> None:  # fmt: skip
    for mask in (REDACTOR.text, REDACTOR.content):
        once = mask(text)
        assert mask(once) == once


@given(
    st.sampled_from(_IDS_OF_DIGITS).flatmap(lambda row: st.from_regex(f"{row[0]}{row[1]}", fullmatch=True))
)
@example("345713196212165537")
def test_no_number_is_too_strange(number: str) -> None:
    assert REDACTOR.text(number) in (number, "[national id]", "[phone]", "[card]")


def test_errors_of_providers_hold_what_they_held() -> None:
    changed = [text for _rule, text in EXAMPLES if REDACTOR.text(text) != redact_text(text)]
    assert changed == []


def test_json_is_masked_by_name_and_by_shape() -> None:
    value = {
        "api_key": "anything",
        "X-Api-Key": "anything",
        "dbPassword": 12345678,
        "nested": [{"Authorization": "Bearer abcdef123456", "note": "use sk-abcDEF123456ghiJKL"}],
        "credentials": {"user": "app"},
        "cookie": None,
        "sk-abcDEF123456ghiJKL": 1,
        "max_tokens": 5,
        "token": 5,
        "token_count": "5",
        "tokens_used": "many",
        "prompt_tokens": "2",
    }
    assert REDACTOR.json(value) == {
        "api_key": MASK,
        "X-Api-Key": MASK,
        "dbPassword": MASK,
        "nested": [{"Authorization": MASK, "note": f"use {MASK}"}],
        "credentials": MASK,
        "cookie": None,
        MASK: 1,
        "max_tokens": 5,
        "token": 5,
        "token_count": "5",
        "tokens_used": "many",
        "prompt_tokens": "2",
    }


def test_json_without_secrets_is_not_copied() -> None:
    clean = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "shape": (1, 2.5, None)}
    assert REDACTOR.json(clean) is clean
    masked = REDACTOR.json({"clean": clean, "password": "x"})
    assert masked["clean"] is clean


def test_json_of_any_depth_is_bounded() -> None:
    deep: object = "bottom"
    for _ in range(10_000):
        deep = [deep]
    assert MASK in str(REDACTOR.json(deep))


def test_names_say_which_numbers_are_personal() -> None:
    value = {
        "contactPhone": 612345678,
        "tel": "ext. 12, 612 345 678",
        "dni": 12345678,
        "hotel": "612345678",
        "phone_model": "iPhone 15",
        "order": 612345678,
        "card": 4111111111111111,
        "microphone": True,
        "mobile": 15,
    }
    assert REDACTOR.json(value) == {
        **value,
        "contactPhone": "[phone]",
        "tel": "ext. 12, [phone]",
        "dni": "[national id]",
        "card": "[card]",
    }


def test_captured_content_is_masked_by_name_too() -> None:
    assert REDACTOR.content({"tool": {"password": "x y"}, "to": "ana@acme.example"}) == {
        "tool": {"password": MASK},
        "to": "[email]",
    }


def test_numbers_of_any_size_pass() -> None:
    value = {"big": 10**6000, "small": -(10**6000), "inf": float("inf"), "nested": [10**30]}
    assert REDACTOR.json(value) is value


def test_own_patterns_are_masked_everywhere() -> None:
    redactor = Redactor({"employee": r"EMP-\d{6}", "codename": "(?i)project (?:condor|lince)"})
    text = "EMP-123456 of Project Cóndor, project lince: ana@acme.example"
    masked = "[employee] of Project Cóndor, [codename]: [email]"
    assert redactor.text(text) == masked
    assert redactor.json({"note": [text], "EMP-123456": 1}) == {"note": [masked], "[employee]": 1}
    assert redactor.content(text) == masked


HOSTILE = [
    *(
        "1 ",
        "4111 ",
        "4444444444444444 ",
        "4111-1-",
        "+1 ",
        "ES91 ",
        "ES91",
        "NO93 ",
        "X1234567",
        "12345678Z ",
    ),
    *(
        "123-45-6789 ",
        "a@a.",
        "@a.",
        "a.b@",
        "phone 612345 ",
        "phone: ",
        "(12) ",
        "\\n1",
        "\\u00e1",
        "\u00a01",
    ),
    *("AB 12 ", "RCCMNL83S18D969H", "0 1", "2024-11-24 10:00:00 "),
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    assert_linear(REDACTOR.content, piece)


def assert_linear(mask: Callable[[str], object], piece: str) -> None:
    """Ten times the text takes far less than the hundred times as long that it would by its square."""

    def seconds(size: int) -> float:
        text = (piece * (size // len(piece) + 1))[:size]
        begin = time.process_time()
        mask(text)
        return time.process_time() - begin

    short = min(seconds(40_000) for _ in range(3))
    assert min(seconds(400_000) for _ in range(2)) < 10 * max(short, 0.002) * 5
