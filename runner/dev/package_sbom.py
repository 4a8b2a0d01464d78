"""What a package consists of, for those who look for known weaknesses: CycloneDX 1.5 (spec.md §10.11).

Without time and serial number: the same package has the same list.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from email.parser import HeaderParser
from pathlib import Path

from procvision_sdk.json_value import JsonValue
from procvision_sdk.manifest import Manifest
from runner.packages.locked import Locked


def sbom(manifest: Manifest, locked: Sequence[Locked], wheels: Sequence[Path]) -> bytes:
    """The list of components; licences as the wheels state them."""
    licences = {_stem(path): _licence(path) for path in wheels}
    document: dict[str, JsonValue] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": f"{manifest.name}@{manifest.version}",
                "name": manifest.name,
                "version": manifest.version,
                "description": manifest.description,
            }
        },
        "components": [_component(one, licences.get((one.name, one.version), "")) for one in sorted(locked)],
    }
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _component(one: Locked, licence: str) -> JsonValue:
    url = f"pkg:pypi/{one.name}@{one.version}"
    told: dict[str, JsonValue] = {
        "type": "library",
        "bom-ref": url,
        "purl": url,
        "name": one.name,
        "version": one.version,
    }
    if len(one.sha256) == 1:
        told["hashes"] = [{"alg": "SHA-256", "content": one.sha256[0]}]
    if licence:
        told["licenses"] = [{"expression": licence}]
    return told


def _stem(wheel: Path) -> tuple[str, str]:
    from packaging.utils import parse_wheel_filename

    name, version, _, _ = parse_wheel_filename(wheel.name)
    return str(name), str(version)


def _licence(wheel: Path) -> str:
    """The SPDX expression in its METADATA, "" where it has none."""
    with zipfile.ZipFile(wheel) as archive:
        name = next((one for one in archive.namelist() if one.endswith(".dist-info/METADATA")), "")
        headers = HeaderParser().parsestr(archive.read(name).decode("utf-8", "replace") if name else "", True)
    return str(headers.get("License-Expression", ""))
