"""The public recorder: for calls that somebody else's client makes, wired from settings."""

from __future__ import annotations

from cajanegra import bootstrap
from cajanegra.analysis.classify import Classifier
from cajanegra.recording import recorder
from cajanegra.settings import Settings


class Recorder(recorder.Recorder):
    """Writes down AI calls that any client makes, in the settings' database.

    Args:
        settings: default is ``Settings()``.

    Raises:
        SettingsError: the settings are wrong.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        used = settings or Settings()
        super().__init__(
            lambda: bootstrap.new_writer(used),
            Classifier(),
            capture=used.capture.content,
            redact=bootstrap.new_redactor(used).content,
        )
