"""What can be set, section by section; the descriptions of the fields are what docs/settings.md prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, Self

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from countermark.keys import ROTATED, Purpose, is_secret_uri
from countermark.safety.adapters.options import ImageOpinion, PromptOpinion

_POSTGRES: Final = r"^(postgres(ql)?://.+)?$"


class _Section(BaseModel):
    """A section; the descriptions of its fields are what docs/settings.md prints."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _names_a_place(cls, value: Any, info: ValidationInfo) -> Any:
        """An empty path would be the working folder, and one in ``~`` a folder of that name in it."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if kind not in (Path, Path | None) or not isinstance(value, str | Path):
            return value
        if not str(value):
            raise ValueError("the path is empty; name one, or leave the setting out")
        return _expanded(value)


def _expanded(path: Path | str) -> Path:
    """A path whose ``~`` at the beginning is the user's folder, which only a shell would have read so."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"'~' leads nowhere: {error}") from error


class WatermarkSettings(_Section):
    """Which watermark, how strong."""

    backend: Literal["lattice", "imwatermark"] = Field(
        default="lattice",
        description="Which watermark; `imwatermark` needs the extra of that name and survives far less.",
    )
    method: Literal["dwtDctSvd", "rivaGan", "dwtDct"] = Field(
        default="dwtDctSvd",
        description="The method of `imwatermark`; `dwtDct` is discouraged, for hardly a mark of it outlives JPEG.",
    )
    profile: Literal["standard", "quality"] = Field(
        default="standard",
        description="How strong the lattice is: `standard` is 40 dB, `quality` is 42 dB and fainter.",
    )
    psnr: float | None = Field(
        default=None,
        ge=34,
        le=48,
        description="The lattice's strength in decibels, instead of a profile; higher is fainter.",
        examples=[41.0],
    )

    @property
    def target_psnr(self) -> float:
        """The lattice's strength in dB."""
        return self.psnr if self.psnr is not None else {"standard": 40.0, "quality": 42.0}[self.profile]


class GeneratorSettings(_Section):
    """Which generation core."""

    model: str = Field(
        default="embedded",
        description="The generation core: the embedded one, or a diffusers pipeline by local path or hub id.",
        examples=["/models/sdxl"],
    )
    allow_download: bool = Field(
        default=False,
        description="Whether the pipeline may be fetched from the hub; otherwise only this machine's is used.",
    )
    preview_at: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="After which share of its steps a preview of each run is looked at, and the run stopped where"
        " policy would block it; 0.5 is half way, 0 is never.",
        examples=[0.5],
    )


class CredentialSettings(_Section):
    """The signing identity and the anchors to trust; left out, a development PKI is made at first use."""

    chain: Path | None = Field(
        default=None,
        description="The certificate that signs manifests, and its issuers, as PEM; left out, it is a development one.",
        examples=["/etc/countermark/chain.pem"],
    )
    key: Path | None = Field(
        default=None,
        description="The private key of that certificate, as unencrypted PEM that its owner alone may read.",
        examples=["/etc/countermark/key.pem"],
    )
    anchors: Path | None = Field(
        default=None,
        description="Root certificates, as PEM, of signers to be believed by `verify`.",
        examples=["/etc/countermark/anchors.pem"],
    )
    timestamp_anchors: Path | None = Field(
        default=None,
        description="Root certificates, as PEM, of time-stamping authorities to be believed.",
        examples=["/etc/countermark/tsa.pem"],
    )
    timestamp_url: str = Field(
        default="",
        max_length=500,
        pattern=r"^(https?://.+)?$",
        description="An RFC 3161 time-stamping authority, asked for each signature; while it is silent nothing is"
        " released.",
        examples=["https://timestamp.example.org"],
    )

    @model_validator(mode="after")
    def _chain_with_its_key(self) -> Self:
        # Half an identity would be none, and the development one would sign in its place.
        if (self.chain is None) != (self.key is None):
            given, lacking = ("chain", "key") if self.key is None else ("key", "chain")
            raise ValueError(f"'{given}' is set without '{lacking}': set both, or neither for a development identity")
        return self


class LogSettings(_Section):
    """The audit log's name (its origin line), and what the program itself tells on stderr."""

    origin: str = Field(
        default="",
        max_length=200,
        pattern=r"^[^\s+]*$",
        description="The audit log's name, for ever; left empty, one is made from its key.",
        examples=["log.example.org/images"],
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="From which level on the program's own messages are written to stderr."
    )
    style: Literal["console", "json"] = Field(
        default="console", description="How these messages look: for people, or one JSON object a line."
    )


class WitnessSettings(_Section):
    """A witness (``countermark witness init``)."""

    name: str = Field(
        min_length=1, max_length=200, pattern=r"^[^\s+]+$", description="The witness's name, as in its key."
    )
    url: str = Field(
        max_length=500, pattern=r"^https?://", description="Where checkpoints are submitted: an address of HTTP."
    )
    vkey: str = Field(max_length=500, description="Its verifier key, which `countermark witness init` prints.")

    @model_validator(mode="after")
    def _named_as_its_key(self) -> Self:
        if self.vkey.partition("+")[0] != self.name:
            raise ValueError("the verifier key is of another name")
        return self


class AuditSettings(_Section):
    """Where the audit log is kept, who cosigns its checkpoints, and how many must: ``witness_quorum`` of ``witnesses``.

    Passwords belong into ``~/.pgpass``; one that stands in an address is never shown.
    """

    url: str = Field(
        default="",
        pattern=_POSTGRES,
        repr=False,
        description="A PostgreSQL database for a log that several processes or hosts write; left empty, the log is"
        " `audit.db` in the home folder.",
        examples=["postgresql://user@host/database"],
    )
    signed: str = Field(
        default="",
        pattern=_POSTGRES,
        repr=False,
        description="Another database for the record of signed heads, never restored from a backup; left empty, it is"
        " `signed.db` in the home folder, which serves the processes of one host.",
        examples=["postgresql://user@host/signed"],
    )
    witnesses: tuple[WitnessSettings, ...] = Field(
        default=(), max_length=16, description="Who cosigns this log's checkpoints (docs/witnesses.md)."
    )
    witness_quorum: int = Field(
        default=0,
        ge=0,
        description="How many of the witnesses must have cosigned a checkpoint for it to count as witnessed.",
    )
    witness_interval: float = Field(
        default=30.0,
        ge=1,
        le=86_400,
        description="How many seconds apart cosignatures are collected while a process writes; once more at its end.",
    )

    @model_validator(mode="after")
    def _quorum_can_be_met(self) -> Self:
        if self.witness_quorum > len(self.witnesses):
            raise ValueError(f"a quorum of {self.witness_quorum} cannot be met by {len(self.witnesses)} witnesses")
        return self


class _StageSettings(_Section):
    """What both safety stages have."""

    uncertain: tuple[float, float] = Field(
        default=(0.1, 0.85),
        description="The scores between which the shipped detectors leave room for doubt, and a second opinion that is"
        ' asked `when = "uncertain"` is heard.',
    )

    @model_validator(mode="after")
    def _is_a_band(self) -> Self:
        if not 0 <= self.uncertain[0] < self.uncertain[1] <= 1:
            raise ValueError("'uncertain' is two scores in 0..1, the lower one first")
        return self


class PromptSafetySettings(_StageSettings):
    """The prompt stage: the shipped detectors, and what is heard beside them."""

    multilingual: bool = Field(
        default=True,
        description="Whether prompts that are not English are assessed where the extra of that name is installed.",
    )
    terms: Path | None = Field(
        default=None,
        description="Your own copy of the folder `policies/terms`, read instead of the shipped one.",
        examples=["/etc/countermark/terms"],
    )
    entities: tuple[str, ...] = Field(
        default=(),
        max_length=16,
        description="Which lists of `terms/entities/` are read: public_figure, brand, character, minor_age, or yours.",
        examples=[["public_figure", "brand"]],
    )
    opinions: tuple[PromptOpinion, ...] = Field(
        default=(), max_length=8, description="Second opinions on prompts (docs/second-opinions.md)."
    )


class ImageSafetySettings(_StageSettings):
    """The image stage: the shipped detectors, and what is heard beside them."""

    nudenet: bool = Field(
        default=False,
        description="Whether regions of exposed parts are looked for, which the policy's `redact` needs; the extra of"
        " that name is under the AGPL-3.0.",
    )
    text: bool = Field(
        default=False,
        description="Whether the words in an image are read and judged as a prompt would be; it needs the extra `ocr`.",
    )
    opinions: tuple[ImageOpinion, ...] = Field(
        default=(), max_length=8, description="Second opinions on images (docs/second-opinions.md)."
    )


class SafetySettings(_Section):
    """What looks at prompts and images."""

    prompt: PromptSafetySettings = PromptSafetySettings()
    image: ImageSafetySettings = ImageSafetySettings()


class OutputSettings(_Section):
    """How released files are written."""

    format: Literal["image/png", "image/jpeg", "image/webp", "image/avif"] = Field(
        default="image/png",
        description="The format of released files; on the command line, the name after `-o` says which.",
    )
    quality: int = Field(default=92, ge=50, le=100, description="The quality of the lossy formats.")


class Settings(_Section):
    """Everything that can be set."""

    home: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("countermark")),
        description="The folder of one installation: keys, certificate, log, objects; on the command line `--home`.",
        examples=["/var/lib/countermark"],
    )
    policy: Path | None = Field(
        default=None,
        description="The policy file; left out, the shipped one is in force. On the command line `--policy`.",
        examples=["/etc/countermark/policy.yaml"],
    )
    tenant: str = Field(
        default="default",
        min_length=1,
        max_length=100,
        description="Whose images these are, as the log records it; on the command line `--tenant`.",
        examples=["acme"],
    )
    objects: str = Field(
        default="",
        description="Where released images, held ones and manifests are kept: a folder, or `s3://`, `gs://` or `az://`;"
        " left empty, it is `objects/` in the home folder.",
        examples=["s3://bucket/countermark"],
    )
    watermark: WatermarkSettings = WatermarkSettings()
    generator: GeneratorSettings = GeneratorSettings()
    credentials: CredentialSettings = CredentialSettings()
    log: LogSettings = LogSettings()
    audit: AuditSettings = AuditSettings()
    safety: SafetySettings = SafetySettings()
    output: OutputSettings = OutputSettings()
    keys: dict[Purpose, str | tuple[str, ...]] = Field(
        default_factory=dict,
        description="Where a key is kept instead of in the home folder, by `env://NAME` or `file:///path`; of a key"
        " that was rotated a list, the newest first (docs/keys.md).",
        examples=["env://MASTER_KEY"],
    )

    @field_validator("objects")
    @classmethod
    def _in_the_users_folder(cls, objects: str) -> str:
        return str(_expanded(objects)) if objects.startswith("~") else objects

    @field_validator("keys")
    @classmethod
    def _no_more_than_epochs(cls, keys: dict[Purpose, str | tuple[str, ...]]) -> dict[Purpose, str | tuple[str, ...]]:
        for purpose, named in keys.items():
            most = ROTATED.get(purpose, 1)
            if not isinstance(named, str) and not 1 <= len(named) <= most:
                raise ValueError(f"'{purpose}' takes {'one URI' if most == 1 else f'1 to {most} URIs'}")
            if not all(is_secret_uri(uri) for uri in ((named,) if isinstance(named, str) else named)):
                raise ValueError(f"'{purpose}' says where the key is kept, env://NAME or file:///path, never the key")
        return keys
