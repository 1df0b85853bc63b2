from __future__ import annotations

import json
import re
import string
import time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cajanegra.domain.redaction import MASK, redact_text

ALPHANUMERIC = string.ascii_letters + string.digits


def _key(prefix: str, alphabet: str = ALPHANUMERIC, size: int = 24) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=size, max_size=size + 30).map(lambda body: f"{prefix}{body}7")


SECRETS = st.one_of(
    _key("sk-"),
    _key("sk-proj-", ALPHANUMERIC + "_-"),
    _key("sk-ant-api03-", ALPHANUMERIC + "_-"),
    _key("sk-or-v1-", string.hexdigits.lower()),
    _key("gsk_"),
    _key("hf_"),
    _key("AIza", ALPHANUMERIC + "_-", 34),
    _key("AKIA", string.ascii_uppercase + string.digits, 15),
    _key("ghp_", size=35),
    _key("github_pat_", ALPHANUMERIC + "_"),
    _key("xoxb-", string.digits + "-"),
    _key("nvapi-", ALPHANUMERIC + "_-"),
    _key("cn_k3v9x2m4p7_", ALPHANUMERIC + "_-"),
    st.builds(
        "eyJhbGciOiJIUzI1NiJ9.eyJ{}.{}".format,
        st.text(ALPHANUMERIC + "_-", min_size=8, max_size=400),
        st.text(ALPHANUMERIC + "_-", min_size=20, max_size=90),
    ),
    st.builds(
        "-----BEGIN {0}PRIVATE KEY-----\n{1}\n-----END {0}PRIVATE KEY-----".format,
        st.sampled_from(["", "RSA ", "EC ", "ENCRYPTED "]),
        st.text(ALPHANUMERIC + "+/=\n", min_size=64, max_size=3000),
    ),
)
"""Every known shape; a text around one must not end in a letter, which would make it a part of a word."""
NO_LETTER_LAST = st.text(max_size=40).filter(lambda text: text[-1:] not in string.ascii_letters or not text)
NO_KEY_AFTER = st.text(max_size=40).filter(
    lambda text: text[:1] not in set(ALPHANUMERIC + "_-.*") or not text
)


@given(NO_LETTER_LAST, SECRETS, NO_KEY_AFTER)
@example("OPENAI_", "sk-abcDEF123456ghiJKL7890", "")
@example('{"error": "bad ', "sk-abcDEF123456ghiJKL7890", '"}')
def test_a_known_secret_never_survives(before: str, secret: str, after: str) -> None:
    body = max(re.split("[-\n]", secret), key=len)
    assume(body not in before + after)
    masked = redact_text(f"{before}{secret}{after}")
    assert secret not in masked
    assert body not in masked
    assert MASK in masked


PASSWORDS = st.text(ALPHANUMERIC + "!#$%*+-.=?^_|~@:,;/()[]{}&", min_size=6, max_size=30).map(
    lambda text: f"{text}9z"
)


@given(
    PASSWORDS,
    st.sampled_from(["password", "api_key", "DB_PASSWORD", "dbPassword", "client_secret", "X-Api-Key"]),
)
def test_what_a_name_calls_a_secret_is_masked_in_json_text(secret: str, name: str) -> None:
    for text in (json.dumps({name: secret, "model": "m"}), repr({name: f"two words {secret}", "model": "m"})):
        masked = redact_text(text)
        assert secret not in masked
        assert "model" in masked


@given(PASSWORDS.filter(lambda text: not re.search(r"[/?#:@]", text)))
def test_the_password_of_a_url_is_masked(secret: str) -> None:
    masked = redact_text(f"could not connect to postgresql://app:{secret}@db.internal:5432/erp today")
    assert masked == f"could not connect to postgresql://app:{MASK}@db.internal:5432/erp today"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abc.def-123456", "Authorization: Bearer [redacted]"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [redacted]"),
        ("proxy-authorization: secretwithoutscheme", "proxy-authorization: [redacted]"),
        ("sent Bearer abcdefghijklmnopqrstuv to it", "sent Bearer [redacted] to it"),
        ("mysql://root:p@ss/word@db/erp", "mysql://root:[redacted]@db/erp"),
        ("https://x/y?api_key=topsecret&page=2", "https://x/y?api_key=[redacted]&page=2"),
        ("https://x/y?key=topsecret&page=2", "https://x/y?key=[redacted]&page=2"),
        ('{"password": "correct horse battery staple"}', '{"password": "[redacted]"}'),
        ("{'x-api-key': 'abc def', 'a': 1}", "{'x-api-key': '[redacted]', 'a': 1}"),
        (r'{"body": "{\"api_key\": \"abc def\"}"}', r'{"body": "{\"api_key\": \"[redacted]\"}"}'),
        ("Incorrect API key provided: my-own-key.", "Incorrect API key provided: [redacted]"),
        ("DB_PASSWORD=hunter2, host=db", "DB_PASSWORD=[redacted], host=db"),
        ("Server=db;Password=a,b;Database=erp", "Server=db;Password=[redacted];Database=erp"),
        ("password: hunter", "password: [redacted]"),
        ("token=a1b2c3d4e5", "token=[redacted]"),
        ("secret=hunterhunter", "secret=[redacted]"),
        ("Cookie: session=abc123; csrf=def456", "Cookie: [redacted]"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIE\n-----END RSA PRIVATE KEY----- end",
            "[redacted] end",
        ),
        ("-----BEGIN PRIVATE KEY-----\\nMIIEpAIBAAKC", "[redacted]"),
    ],
)
def test_a_secret_is_masked_where_its_name_gives_it_away(text: str, masked: str) -> None:
    assert redact_text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens: 4096, total_tokens=12, token_count: 55, tokens_used=100, prompt_tokens: 1a2b3c4d",
        "Limit 30000, Requested 31000 tokens per min (TPM)",
        "request_id: req_011Cb6rDkE5PVrG2yyGbLPbn",
        "01a20cca-ecc7-7993-8dfe-982928930d6c",
        "task-3c48591d8d098a4538f5e013dfcf406e, risk-assessment-2026, sk-learn-contrib",
        "3c48591d8d098a4538f5e013dfcf406e948eac4d3277b10bf614e295d6068179",
        "Unexpected token '<' at position 1",
        "invalid token: unexpected character",
        "the model `gpt-4o-mini-2024-07-18` does not exist",
        "claude-3-5-sonnet-20241022, meta-llama/Llama-3.1-8B-Instruct, qwen2.5-coder:7b-instruct-q4_K_M",
        "Basic authentication is required, Bearer token is invalid",
        "password: must be 8 characters; api_key: field required",
        "the api_key client option must be set by passing api_key to the client or by setting OPENAI_API_KEY",
        "key_management_service_error_occurred in hf_hub_download_something",
        "http://127.0.0.1:11434/api/generate answered ana@acme.example",
        "chatcmpl-9xQ2abcDEF123456ghiJKL7890mnoP org-abcDEF123456ghiJKL7890mno",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) is text


PIECES = st.lists(
    st.sampled_from(
        ["password", "token", "api_key", "Authorization", "Bearer ", "Basic ", "cookie", ": ", "=", '"', "'", "\\",
         "\\n", ",", ";", "&", "?key=", "://", "a:b", "@", "sk-", "proj-", "eyJ", ".", "-----BEGIN PRIVATE KEY-----",
         "-----END PRIVATE KEY-----", "abcDEF12", "[redacted]", "[", "]", "}", " ", "\n", "\u017f", "7", "api key provided"]
    )
    | st.text(max_size=3),
    max_size=14,
).map("".join)  # fmt: skip


@given(PIECES)
def test_masking_twice_is_masking_once(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once


@given(st.text(string.ascii_lowercase + " .,\n\u00e9\u00f1", max_size=200))
def test_words_are_never_masked(text: str) -> None:
    assert redact_text(text) is text


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "-eyJ",
            "_eyJa.",
            "-----BEGIN ",
            "-----BEGIN PRIVATE KEY-----",
            "://a:",
            "://a:b@",
            "password=",
            "token:",
        ),
        *(
            "Bearer ",
            "sk-",
            "a@a.",
            "1 ",
            "4111 ",
            "+1 ",
            "ES91 ",
            "ES91",
            "\\",
            '"',
            "api_key",
            "cookie: a=",
            "&key=",
        ),
        *("secret: a1", "password='", "password=,", "X1234567", "x"),
    ],
)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    def seconds(size: int) -> float:
        text = (piece * (size // len(piece) + 1))[:size]
        begin = time.process_time()
        redact_text(text)
        return time.process_time() - begin

    short = min(seconds(50_000) for _ in range(3))
    assert seconds(400_000) < 8 * max(short, 0.005) * 3
