"""Checks of what a project says about itself, before any of its code runs: manifest, assets, entry point, needs."""

from __future__ import annotations

from pathlib import Path

from procvision_sdk import manifest as manifests
from procvision_sdk.errors import ManifestError
from procvision_sdk.manifest import FILE_NAME, Manifest
from procvision_sdk.parameters import Parameter
from runner.dev.checks import Check, Outcome


def check_manifest(folder: Path) -> tuple[Manifest | None, list[Check]]:
    """The manifest when it can be used, with what was found on the way."""
    path = folder / FILE_NAME
    try:
        found = Manifest.parse(path.read_bytes(), FILE_NAME)
    except ManifestError as error:
        return None, [Check.failed("manifest", error, FILE_NAME), Check.skipped("assets", "the manifest failed")]
    steps = ", ".join(str(step.index) for step in found.steps)
    said = f"{found.name} {found.version}; products {', '.join(found.supported_pids):.100}; steps {steps:.100}"
    checks = [Check.passed("manifest", said, FILE_NAME)]
    try:
        manifests.load(folder)
    except ManifestError as error:
        return None, [*checks, Check.failed("assets", error, FILE_NAME)]
    count = sum(len(assets) for assets in found.required_assets.values())
    told = f"found, all inside the project: {count}" if count else "none are required"
    return found, [*checks, Check.passed("assets", told, FILE_NAME)]


def check_entry_point(folder: Path, manifest: Manifest) -> Check:
    """Whether the module of the entry point lies in the project."""
    module, _, class_name = manifest.entry_point.partition(":")
    base = folder.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return Check.passed("entry_point", f"{class_name} of {module}", path.relative_to(folder).as_posix())
    expected = base.with_suffix(".py").relative_to(folder).as_posix()
    message = f"entry_point {manifest.entry_point!r}: expected the file {expected}, it is not there"
    return Check("entry_point", Outcome.FAIL, message, FILE_NAME, "names are case-sensitive; modules need no .py")


def check_parameters(manifest: Manifest) -> Check:
    """The declarations were checked with the manifest; here is what a host will meet."""
    declared = {f"step {step.index} {one.key}": one for step in manifest.steps for one in step.params}
    needed = [name for name, one in declared.items() if one.required and one.default is None]
    said = ", ".join(declared) or "none declared"
    if needed:
        said += f"; every call must give {', '.join(needed)}"
    return Check.passed("parameters", said, FILE_NAME)


def check_requirements(folder: Path) -> Check:
    """requirements.txt names exact versions, since a station installs without a network."""
    name, file = "requirements", "requirements.txt"
    try:
        text = (folder / file).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        message = f"expected a readable {file}: {error}"
        return Check(name, Outcome.WARN, message, file, "list what the algorithm imports, one name==version per line")
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    wanted = [line for line in lines if line and not line.startswith("-")]
    loose = [line for line in wanted if "==" not in line and " @ " not in line]
    if loose:
        message = f"expected exact versions, got {', '.join(loose):.200}"
        return Check(name, Outcome.WARN, message, file, "write name==version: a package installs the same everywhere")
    return Check.passed(name, "all versions are exact" if wanted else "nothing is required", file)


def sample_value(parameter: Parameter) -> object:
    """A value that a required parameter without default may take, to try the hooks with."""
    if parameter.type in ("int", "float"):
        limit = parameter.min if parameter.min is not None else parameter.max
        number = limit if limit is not None else 0
        return int(number) if parameter.type == "int" else number
    if parameter.type == "enum":
        return (parameter.choices or ("",))[0]
    samples: dict[str, object] = {
        "rect": {"x": 0, "y": 0, "width": 16, "height": 16},
        "bool": False,
        "string": "a" * (parameter.min_length or 1),
    }
    return samples[parameter.type]
