"""Manifest: what a package says about itself before any of its code runs (spec.md §9).

`python -m procvision_sdk.manifest > manifest.schema.json` writes the schema that editors and hosts use.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from procvision_sdk.errors import ManifestError
from procvision_sdk.json_value import json_copy, type_name
from procvision_sdk.parameters import Number, Parameter, did_you_mean

FILE_NAME: Final = "manifest.json"
MAX_MANIFEST_BYTES: Final = 1024 * 1024
# Known station needs that no runner honours yet: refused by name, since ignoring one would be a broken promise.
NOT_SUPPORTED_YET: Final = ("replicas", "batching", "devices", "isolation", "permissions")
# The runner gives these to a worker itself (spec.md §4, Launch).
_RUNNERS_VARIABLES: Final = ("HOME", "TMPDIR", "TEMP", "SYSTEMROOT")
_SPECIFIER: Final = re.compile(r"(~=|===?|!=|<=?|>=?)\s*[0-9][0-9A-Za-z.*+!_-]*")


def _checked_asset_path(path: str) -> str:
    """A relative path in POSIX form that means the same file on every platform, inside the package."""
    parts = path.split("/")
    if not path or path.startswith("/"):
        raise ValueError("expected a path relative to the package")
    if "\\" in path or ":" in path:
        raise ValueError("expected forward slashes, no drive letter and no colon")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError("expected a plain path: no '..', no '.', no empty part")
    if not path.isprintable() or any(part != part.strip() or part.endswith(".") for part in parts):
        raise ValueError("expected printable names that neither begin nor end with a space, nor end with a dot")
    return path


def _checked_specifier(text: str) -> str:
    if not all(_SPECIFIER.fullmatch(part.strip()) for part in text.split(",")):
        raise ValueError("expected a version range such as '>=3.11,<3.14'")
    return text


def _checked_variable(name: str) -> str:
    if name.upper().startswith("PROC_") or name.upper() in _RUNNERS_VARIABLES:
        raise ValueError("this variable is given by the runner; choose another name")
    return name


ProductId: TypeAlias = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
AssetKind: TypeAlias = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")]
AssetPath: TypeAlias = Annotated[StrictStr, Field(min_length=1, max_length=400), AfterValidator(_checked_asset_path)]
VersionRange: TypeAlias = Annotated[StrictStr, AfterValidator(_checked_specifier)]
VariableName: TypeAlias = Annotated[
    StrictStr, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(_checked_variable)
]
VariableValue: TypeAlias = Annotated[StrictStr, Field(max_length=32_768, pattern=r"^[^\x00]*$")]
Seconds: TypeAlias = Annotated[Number, Field(gt=0, le=86_400)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Model):
    """One step of the inspection; the host names it by `index`, which begins at 1."""

    index: StrictInt = Field(ge=1, le=1000)
    name: StrictStr = Field(min_length=1, max_length=200)
    params: tuple[Parameter, ...] = ()

    @model_validator(mode="after")
    def _has_each_key_once(self) -> Step:
        _refuse_doubles("params", [parameter.key for parameter in self.params])
        return self


class Timeouts(_Model):
    """Limits in seconds; null means the station's default (spec.md §7)."""

    boot_s: Seconds | None = None
    pre_execute_s: Seconds | None = None
    execute_s: Seconds | None = None
    teardown_s: Seconds | None = None


class Manifest(_Model):
    """A package's name, products, steps, assets and needs."""

    name: StrictStr = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    version: StrictStr = Field(pattern=r"^[0-9A-Za-z]([0-9A-Za-z.+_-]{0,62}[0-9A-Za-z])?$")
    entry_point: StrictStr = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$",
        description="module:Class, importable from the package root.",
    )
    supported_pids: tuple[ProductId, ...] = Field(min_length=1, max_length=50)
    description: StrictStr = ""
    steps: tuple[Step, ...] = Field(min_length=1, description="In ascending order of index.")
    required_assets: dict[ProductId, dict[AssetKind, AssetPath]] = Field(
        {}, description="Per product and kind the path of a file or folder inside the package, with forward slashes."
    )
    default_config: dict[str, JsonValue] = Field(
        {}, description="The author's own settings; the runner keeps out of it."
    )
    requires_python: VersionRange | None = None
    sdk: VersionRange | None = Field(None, description="Versions of procvision-sdk the package works with.")
    timeouts: Timeouts = Timeouts()
    idempotent: StrictBool = Field(True, description="Whether a crashed inspection may be repeated once.")
    environment: dict[VariableName, VariableValue] = Field({}, description="Variables for the worker process.")
    memory_mb: StrictInt | None = Field(
        None,
        ge=64,
        le=1_048_576,
        description="Private memory in MiB at which the worker is replaced; null means the station's default.",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Manifest:
        _refuse_doubles("supported_pids", list(self.supported_pids))
        indices = [step.index for step in self.steps]
        _refuse_doubles("steps", indices)
        if indices != sorted(indices):
            raise ValueError(f"steps: expected ascending indices, got {indices}")
        for pid in self.required_assets:
            if pid not in self.supported_pids:
                hint = did_you_mean(pid, self.supported_pids)
                raise ValueError(f"required_assets: {pid!r} is not in supported_pids{f'; {hint}' if hint else ''}")
        return self

    @classmethod
    def parse(cls, text_or_bytes: str | bytes, where: str) -> Manifest:
        """The manifest in a JSON text (UTF-8, with or without BOM).

        Raises ManifestError whose message begins with `where` and the path of the key. Source: spec.md §9.
        """
        raw = _json_object(text_or_bytes, where)
        for key in NOT_SUPPORTED_YET:
            if key in raw:
                raise ManifestError(
                    f"{where}: {key}: not supported yet by this version", hint=f"remove {key!r} from the manifest"
                )
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise _manifest_error(error, where) from None


def load(folder: Path) -> Manifest:
    """The manifest of the package in `folder`, its assets found on disk and inside the package.

    Raises ManifestError. Symbolic links that lead out of the package are refused: an installed package is a closed
    tree (spec.md §9).
    """
    path = folder / FILE_NAME
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ManifestError(
            f"{path}: expected a readable {FILE_NAME}: {error.strerror}", hint="give the folder that holds it"
        ) from None
    manifest = Manifest.parse(raw, str(path))
    root = folder.resolve()
    for pid, assets in manifest.required_assets.items():
        for kind, asset in assets.items():
            _check_asset(root, asset, f"{path}: required_assets.{pid}.{kind}")
    return manifest


def _check_asset(root: Path, asset: str, where: str) -> None:
    try:
        found = (root / PurePosixPath(asset)).resolve(strict=True)
    except (OSError, RuntimeError):
        raise ManifestError(
            f"{where}: expected a file or folder in the package, {asset!r} is not there",
            hint=f"looked in {root}; names are case-sensitive",
        ) from None
    if not found.is_relative_to(root):
        raise ManifestError(f"{where}: expected a path inside the package, {asset!r} leads to {found}")
    if not (found.is_file() or found.is_dir()):
        raise ManifestError(f"{where}: expected a file or folder, {asset!r} is something else")


def _json_object(text_or_bytes: str | bytes, where: str) -> dict[str, Any]:
    if len(text_or_bytes) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"{where}: expected at most {MAX_MANIFEST_BYTES} bytes, got {len(text_or_bytes)}")
    try:
        text = text_or_bytes.decode("utf-8") if isinstance(text_or_bytes, bytes) else text_or_bytes
        raw = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{where}: expected JSON in UTF-8: {error}") from None
    if not isinstance(raw, dict):
        raise ManifestError(f"{where}: expected a JSON object, got {type_name(raw)}")
    try:
        # What Python's reader lets pass: NaN, 1e999, lone surrogates, any depth.
        json_copy(raw, "")
    except (TypeError, ValueError) as error:
        raise ManifestError(f"{where}: {error}") from None
    return raw


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _refuse_doubles("object", [key for key, _ in pairs])
    return dict(pairs)


def _refuse_doubles(where: str, items: list[Any]) -> None:
    doubled = [item for position, item in enumerate(items) if item in items[:position]]
    if doubled:
        raise ValueError(f"{where}: {doubled[0]!a:.80} stands twice")


def _manifest_error(error: ValidationError, where: str) -> ManifestError:
    """The first fault in words, and how many more there are."""
    faults = error.errors(include_url=False)
    fault = faults[0]
    location = fault["loc"]
    text, hint = _told(fault["type"], fault["msg"], fault["input"], location)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return ManifestError(f"{where}: {_path(location)}{text}{more}", hint=hint)


def _told(kind: str, message: str, got: Any, location: tuple[int | str, ...]) -> tuple[str, str]:
    if kind == "missing":
        return "required, got nothing", ""
    if kind == "extra_forbidden":
        known = list(_model_at(location).model_fields)
        return f"unknown key; known are {', '.join(known)}", did_you_mean(str(location[-1]), known)
    expected = message.removeprefix("Value error, ").removeprefix("Input ").replace("tuple", "list")
    shown = type_name(got) if isinstance(got, (dict, list, BaseModel)) else f"{got!a:.80} ({type_name(got)})"
    return (expected if isinstance(got, (dict, BaseModel)) else f"{expected}, got {shown}"), ""


def _model_at(location: tuple[int | str, ...]) -> type[BaseModel]:
    """The model whose key the last part of an error location is."""
    if "params" in location[:-1]:
        return Parameter
    inner: dict[int | str, type[BaseModel]] = {"steps": Step, "timeouts": Timeouts}
    return inner.get(location[0], Manifest) if len(location) > 1 else Manifest


def _path(location: tuple[int | str, ...]) -> str:
    steps = "".join(f"[{part}]" if isinstance(part, int) else f".{part!s:.64}" for part in location)
    return f"{steps.removeprefix('.')}: " if steps else ""


def json_schema() -> dict[str, Any]:
    """The JSON Schema of manifest.json, what manifest.schema.json holds."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {**dialect, **Manifest.model_json_schema()}


def schema_text() -> str:
    """The content of manifest.schema.json, to the last line break."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
