from __future__ import annotations

import re
from pathlib import Path

import pytest

from cajanegra import Settings
from cajanegra.errors import SettingsError

OLLAMA = {"name": "ollama", "kind": "ollama", "base_url": "http://127.0.0.1:11434", "models": ["llama3.2"]}
OPENAI = {"name": "openai", "base_url": "https://api.openai.com/v1", "api_key_env": "OPENAI_API_KEY"}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("OLLAMA_HOST", "OVH_AI_ENDPOINTS_ACCESS_TOKEN", "OPENAI_API_KEY", "CAJANEGRA_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def test_nothing_set_gives_a_database_at_an_absolute_path_and_no_providers() -> None:
    settings = Settings()
    assert settings.database.url.startswith("sqlite:////")
    assert settings.providers == ()
    assert settings.file is None


def test_argument_wins_over_environment_over_file_over_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cajanegra.toml").write_text(
        "[recovery]\ntimeout = 10\nattempts = 3\n[retention]\ndefault_days = 30\n"
    )
    monkeypatch.setenv("CAJANEGRA_RECOVERY__TIMEOUT", "20")
    monkeypatch.setenv("CAJANEGRA_RECOVERY__ATTEMPTS", "4")
    settings = Settings(recovery={"attempts": 5})
    assert (settings.recovery.attempts, settings.recovery.timeout) == (5, 20)
    assert settings.retention.default_days == 30
    assert settings.capture.content == "none"


def test_lists_in_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "CAJANEGRA_PROVIDERS",
        '[{"name": "a", "base_url": "http://a"}, {"name": "b", "base_url": "http://b"}]',
    )
    monkeypatch.setenv("CAJANEGRA_RECOVERY__CHAIN", '["b", "a"]')
    assert [provider.name for provider in Settings().chain] == ["b", "a"]


def test_the_chain_is_the_order_of_the_providers_unless_set() -> None:
    assert [provider.name for provider in Settings(providers=[OPENAI, OLLAMA]).chain] == ["openai", "ollama"]


def test_providers_are_found_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1")
    ollama, openai = Settings().chain
    assert (ollama.name, ollama.kind, ollama.base_url) == ("ollama", "ollama", "http://127.0.0.1:11434")
    assert (openai.name, openai.api_key_env) == ("openai", "OPENAI_API_KEY")


def test_the_file_named_by_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.toml"
    file.write_text(
        '[models.fast]\nopenai = "gpt-4o-mini"\n[[providers]]\nname = "openai"\nbase_url = "https://x/v1"\n'
    )
    monkeypatch.setenv("CAJANEGRA_CONFIG", str(file))
    settings = Settings()
    assert settings.models == {"fast": {"openai": "gpt-4o-mini"}}
    assert settings.file == file


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"databse": {}}, "'databse' is not a section of the settings; did you mean 'database'?"),
        ({"recovery": {"tiemout": 3}}, "recovery.tiemout is not a setting; did you mean 'timeout'?"),
        ({"recovery": {"attempts": 0}}, "recovery.attempts: expected `int` >= 1"),
        ({"recovery": {"timeout": "soon"}}, "recovery.timeout: expected `float`, got `str`"),
        ({"recovery": {"chain": ["nobody"]}}, "recovery.chain names provider 'nobody', which is not configured (there is: none)"),
        ({"models": {"fast": {"nobody": "m"}}}, "models.fast names provider 'nobody'"),
        ({"providers": [{"name": "Bad Name", "base_url": "http://x"}]}, "providers[0].name: a provider's name is 1 to 20 of"),
        ({"providers": [{"name": "a", "base_url": "ftp://x"}]}, "providers[0].base_url: must be a URL that begins with http"),
        ({"providers": [{"name": "a", "base_ulr": "x"}]}, "providers[0].base_ulr is not a setting; did you mean 'base_url'?"),
        ({"providers": [OLLAMA, OLLAMA]}, "two providers are named 'ollama'"),
        ({"capture": {"content": "all"}}, "capture.content: invalid enum value 'all'; choose one of none, redacted, full"),
        ({"capture": {"patterns": {"mine": "(a"}}}, "capture.patterns.mine is not a regular expression of RE2: missing ): (a"),
        ({"capture": {"patterns": {"mine": r"(?<=a)b"}}}, "capture.patterns.mine is not a regular expression of RE2: "),
        ({"capture": {"patterns": {"mine": 5}}}, "capture.patterns[...]: expected `str`, got `int`"),
        ({"capture": {"patterns": {"My name": "a"}}}, "capture: a pattern's name is 1 to 40 of a-z, 0-9, _ and -"),
        ({"capture": {"patterns": {f"p{number}": "a" for number in range(51)}}}, "capture.patterns: expected `object` of length <= 50"),
        ({"providers": [{**OLLAMA, "kind": "ollama", "continues": "prefix"}]}, "Ollama knows no 'prefix'; continues can only be"),
        ({"providers": [{**OLLAMA, "continues": "yes"}]}, "providers[0].continues: invalid enum value 'yes'; choose one of message, prefix"),
        ({"providers": [{**OLLAMA, "kind": "olama"}]}, "providers[0].kind: invalid enum value 'olama'; choose one of openai, ollama"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_and_mended_in_one_line(sections: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as caught:
        Settings(**sections)
    assert "\n" not in str(caught.value)


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAJANEGRA_DATABAS__URL", "sqlite://")
    with pytest.raises(
        SettingsError, match="CAJANEGRA_DATABAS__URL is not a setting; did you mean 'database'"
    ):
        Settings()


def test_a_file_that_is_not_toml_says_where(tmp_path: Path) -> None:
    (tmp_path / "cajanegra.toml").write_text("[database\nurl = 1")
    with pytest.raises(SettingsError, match=r"cajanegra\.toml is not valid TOML: .*line 1"):
        Settings()


def test_a_named_file_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAJANEGRA_CONFIG", "/nowhere/cajanegra.toml")
    with pytest.raises(SettingsError, match=r"/nowhere/cajanegra\.toml, which does not exist"):
        Settings()


def test_a_section_must_be_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAJANEGRA_DATABASE", "sqlite://")
    with pytest.raises(SettingsError, match="database: expected `object`, got `str`"):
        Settings()


def test_patterns_are_read_from_file_and_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cajanegra.toml").write_text("[capture.patterns]\nemployee = 'EMP-\\d{6}'\n")
    assert Settings().capture.patterns == {"employee": r"EMP-\d{6}"}
    monkeypatch.setenv("CAJANEGRA_CAPTURE__PATTERNS", '{"order": "ORD-[0-9]+"}')
    assert Settings().capture.patterns == {"employee": r"EMP-\d{6}", "order": "ORD-[0-9]+"}


def test_own_knowledge_is_read() -> None:
    entry = {"kind": "timeout", "cause": "The tunnel is slow.", "action": "Wait.", "name": "slow_tunnel"}
    knowledge = Settings(knowledge={"language": "es", "entries": [entry]}).knowledge
    assert knowledge.language == "es"
    assert (knowledge.entries[0].kind, knowledge.entries[0].name) == ("timeout", "slow_tunnel")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"cause": "x", "action": "y"}, "knowledge.entries[0] would hold for every failure"),
        ({"cause": "x", "kind": "timeout"}, "action"),
        (
            {"cause": "x", "action": "y", "kind": "weather"},
            "knowledge.entries[0].kind: invalid enum value 'weather'; choose one of rate_limit, quota_exhausted",
        ),
        ({"cause": "x", "action": "y", "kind": "timeout", "name": "Night Job"}, "the name of a pattern is"),
        ({"cause": "x", "action": "y", "kind": "timeout", "recover": "pray"}, "choose one of retry"),
        ({"cause": "x", "action": "y", "kind": "timeout", "becuase": "z"}, "becuase is not a setting"),
    ],
)
def test_knowledge_that_cannot_be_used_is_refused(entry: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        Settings(knowledge={"entries": [entry]})
