"""Settings: what can be set, and where it is read from."""

from __future__ import annotations

from countermark.settings.loading import CONFIG_FILE, PREFIX, Loaded, flat, load_settings
from countermark.settings.sections import (
    AuditSettings,
    CredentialSettings,
    GeneratorSettings,
    ImageSafetySettings,
    LogSettings,
    OutputSettings,
    PromptSafetySettings,
    SafetySettings,
    Settings,
    WatermarkSettings,
    WitnessSettings,
)

__all__ = [
    "CONFIG_FILE",
    "PREFIX",
    "AuditSettings",
    "CredentialSettings",
    "GeneratorSettings",
    "ImageSafetySettings",
    "Loaded",
    "LogSettings",
    "OutputSettings",
    "PromptSafetySettings",
    "SafetySettings",
    "Settings",
    "WatermarkSettings",
    "WitnessSettings",
    "flat",
    "load_settings",
]
