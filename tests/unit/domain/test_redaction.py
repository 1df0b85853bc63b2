from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.content_redaction import redact_content
from cajanegra.domain.redaction import MASK, redact_json, redact_text

BODY = "abcDEF123456ghiJKL7890mnoPQR"
SECRETS = [
    f"sk-{BODY}",
    f"sk-proj-{BODY}",
    f"sk-ant-api03-{BODY}",
    f"gsk_{BODY}",
    f"hf_{BODY}",
    f"AIza{BODY}",
    "AKIAABCDEFGHIJKLMNOP",
    f"ghp_{BODY}",
    f"xoxb-123456-{BODY}",
    f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{BODY}",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "key {} is wrong", '{{"error": "bad {}"}}', "x=({})", "\n{}\n"])
def test_a_known_key_never_survives(secret: str, around: str) -> None:
    assert secret not in redact_text(around.format(secret))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abc.def-123456", "Authorization: Bearer [redacted]"),
        ("postgresql://app:s3cret@db.internal/erp", "postgresql://app:[redacted]@db.internal/erp"),
        ("https://x/y?api_key=topsecret&page=2", "https://x/y?api_key=[redacted]&page=2"),
        ('{"password": "hunter2!"}', '{"password": "[redacted]"}'),
        ("Incorrect API key provided: my-own-key.", "Incorrect API key provided: [redacted]"),
        ("DB_PASSWORD=hunter2", "DB_PASSWORD=[redacted]"),
        ("token=a1b2c3d4e5", "token=[redacted]"),
    ],
)
def test_a_secret_is_masked_where_its_name_gives_it_away(text: str, masked: str) -> None:
    assert redact_text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens: 4096, total_tokens=12, token_count: 55",
        "Limit 30000, Requested 31000 tokens per min (TPM)",
        "request_id: req_011Cb6rDkE5PVrG2yyGbLPbn",
        "01a20cca-ecc7-7993-8dfe-982928930d6c",
        "3c48591d8d098a4538f5e013dfcf406e948eac4d3277b10bf614e295d6068179",
        "Unexpected token '<' at position 1",
        "invalid token: unexpected character",
        "the model `gpt-4o-mini-2024-07-18` does not exist",
        "Basic authentication is required",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


@given(st.text())
def test_masking_twice_is_masking_once(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once


def test_json_is_masked_by_name_and_by_shape() -> None:
    value = {
        "api_key": "anything",
        "X-Api-Key": "anything",
        "nested": [{"Authorization": "Bearer abcdef123456", "note": f"use sk-{BODY}"}],
        "max_tokens": 5,
        "token_count": "5",
        "cookie": None,
    }
    assert redact_json(value) == {
        "api_key": MASK,
        "X-Api-Key": MASK,
        "nested": [{"Authorization": MASK, "note": f"use {MASK}"}],
        "max_tokens": 5,
        "token_count": "5",
        "cookie": None,
    }


def test_json_of_any_depth_is_bounded() -> None:
    deep: object = "bottom"
    for _ in range(10_000):
        deep = [deep]
    assert MASK in str(redact_json(deep))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to ana@acme.example today", "write to [email] today"),
        ("call +34 612 345 678 now", "call [phone] now"),
        ("card 4111 1111 1111 1111 declined", "card [card] declined"),
        ("IBAN ES91 2100 0418 4502 0005 1332", "IBAN [iban]"),
        ("DNI 12345678Z, NIE X1234567L", "DNI [national id], NIE [national id]"),
        ("card 4111 1111 1111 1112 is none", "card 4111 1111 1111 1112 is none"),
        ("DNI 12345678A is none", "DNI 12345678A is none"),
        (
            "invoice 2024-117 of 2026-11-24, total 1234567.89",
            "invoice 2024-117 of 2026-11-24, total 1234567.89",
        ),
    ],
)
def test_personal_data_is_masked_in_content(text: str, masked: str) -> None:
    assert redact_content([{"role": "user", "content": text}]) == [{"role": "user", "content": masked}]
