"""PcbInspection: the hooks. Step 1 locates and registers the board, step 2 finds and classifies its defects.

The registration found in step 1 travels to step 2 in the session, on whatever worker that runs.

Error codes of this algorithm, beside those of spec.md §6:
    5001  the image has no contrast: the light is off, or the lens is covered
    5002  the board was not found: another product, or it lies farther off than max_shift_px
    5003  step 2 was asked for in a session without step 1
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pcb_inspection.defects import Grey, Mask, grown
from pcb_inspection.detection import DEFAULT_MAX_SHIFT_PX, compare
from pcb_inspection.products import Product, load_product
from pcb_inspection.recipe import Recipe
from pcb_inspection.registration import Registration, agreement, moved, register
from procvision_sdk import BaseAlgorithm, ExecuteResult, ImageLoadError, PreExecuteResult, Rect, Session, read_image
from procvision_sdk.errors import InvalidParamsError, InvalidPidError

PACKAGE_ROOT = Path(__file__).resolve().parent.parent
LOCATE, INSPECT = 1, 2
NO_CONTRAST, BOARD_NOT_FOUND, NOT_REGISTERED = "5001", "5002", "5003"

_REGISTRATION = "registration"
# Standard deviation of the grey levels. A board in the dark has 4 to 6 (sensor noise), one in the light 30 and more.
_MIN_CONTRAST = 12.0


class PcbInspection(BaseAlgorithm):
    """Inspects boards of every product of the manifest; nothing of one part is kept here, only in its session."""

    def __init__(self) -> None:
        super().__init__()
        self._manifest: dict[str, Any] = json.loads((PACKAGE_ROOT / "manifest.json").read_text(encoding="utf-8"))
        self._products: dict[str, Product] = {}

    def setup(self) -> None:
        """Templates and recipes of all products. OpenCV gets one thread: a station runs one worker per core instead."""
        cv2.setNumThreads(1)
        for pid in self._manifest["supported_pids"]:
            self._products[pid] = load_product(pid, PACKAGE_ROOT, self._manifest["required_assets"][pid])
        self.logger.info("products loaded", pids=sorted(self._products))

    def get_info(self) -> dict[str, Any]:
        """What the manifest says, so that the two cannot differ."""
        return {key: self._manifest[key] for key in ("name", "version", "description", "supported_pids", "steps")}

    def pre_execute(
        self,
        step_index: int,
        pid: str,
        session: Session,
        user_params: dict[str, Any],  # noqa: ARG002 - both steps prepare without parameters
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> PreExecuteResult:
        """Step 1: is this a picture one can work with? Step 2: has step 1 been here?"""
        product = self._product(pid, step_index)
        if step_index == INSPECT:
            if not session.exists(_REGISTRATION):
                return PreExecuteResult.error(NOT_REGISTERED, "no registration in the session: run step 1 first")
            return PreExecuteResult.ready("registered")
        contrast = _contrast(self._grey(product, shared_mem_id, image_meta))
        if contrast < _MIN_CONTRAST:
            return PreExecuteResult.error(
                NO_CONTRAST, f"contrast {contrast:.1f}, expected {_MIN_CONTRAST:.0f} or more: check light and lens"
            )
        return PreExecuteResult.ready("lit", [Rect(0, 0, *product.size, "field of view")], contrast=contrast)

    def execute(
        self,
        step_index: int,
        pid: str,
        session: Session,
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> ExecuteResult:
        """Step 1: OK when the board was found. Step 2: NG when it has a defect. No board is an error, never an NG."""
        product = self._product(pid, step_index)
        with self.diagnostics.span("binarise"):
            copper = product.recipe.copper_of(self._grey(product, shared_mem_id, image_meta))
        if step_index == LOCATE:
            return self._locate(product, copper, session, user_params)
        return self._inspect(product, copper, session, user_params)

    def _locate(self, product: Product, copper: Mask, session: Session, user_params: dict[str, Any]) -> ExecuteResult:
        with self.diagnostics.span("register"):
            reach = int(user_params.get("max_shift_px", DEFAULT_MAX_SHIFT_PX))
            registration = register(product.golden, copper, reach)
            expected = moved(product.golden, registration)
        fit = agreement(expected, copper)
        if fit < product.recipe.min_agreement:
            return _not_found(product, fit)
        session.set(_REGISTRATION, registration.to_json())
        dx, dy = registration.shift
        board = grown(Rect(dx, dy, *product.size), 0, product.size)
        located = Rect(board.x, board.y, board.width, board.height, "board", fit)
        return ExecuteResult.ok(position_rects=[located], shift_px=[dx, dy], agreement=fit)

    def _inspect(self, product: Product, copper: Mask, session: Session, user_params: dict[str, Any]) -> ExecuteResult:
        expected = moved(product.golden, Registration.from_json(session.get(_REGISTRATION)))
        fit = agreement(expected, copper)
        if fit < product.recipe.min_agreement:
            return _not_found(product, fit)
        with self.diagnostics.span("compare"):
            defects = compare(expected, copper, _asked_for(product.recipe, user_params))
        self.diagnostics.publish("agreement", fit)
        if not defects:
            return ExecuteResult.ok()
        counts = dict(sorted(Counter(str(defect.kind) for defect in defects).items()))
        return ExecuteResult.ng(_reason(counts), [defect.rect() for defect in defects], counts=counts)

    def _product(self, pid: str, step_index: int) -> Product:
        if pid not in self._products:
            raise InvalidPidError(f"no template for product {pid!r}; this package has {sorted(self._products)}")
        if step_index not in (LOCATE, INSPECT):
            raise InvalidParamsError(f"step_index: expected {LOCATE} or {INSPECT}, got {step_index}")
        return self._products[pid]

    def _grey(self, product: Product, shared_mem_id: str, image_meta: dict[str, Any]) -> Grey:
        """The image as (height, width) uint8, read-only, valid for this call only; it has the template's size."""
        grey = read_image(shared_mem_id, image_meta, as_="gray")
        if grey.dtype != np.uint8:
            raise ImageLoadError(f"image is {grey.dtype}, the templates are uint8", hint="set the camera to 8 bit")
        height, width = grey.shape
        if (width, height) != product.size:
            raise ImageLoadError(
                f"image is {width}x{height}, the template of {product.pid} is {product.size[0]}x{product.size[1]}",
                hint="set the camera to the resolution at which the template was taken",
            )
        return grey.astype(np.uint8, copy=False)


def _contrast(grey: Grey) -> float:
    """Standard deviation of the grey levels, from every fourth pixel of every fourth row."""
    return float(grey[::4, ::4].std())


def _asked_for(recipe: Recipe, user_params: dict[str, Any]) -> Recipe:
    """The product's recipe with what the host set for this call."""
    recipe = recipe.with_sensitivity(user_params.get("sensitivity", "normal"))
    least = user_params.get("min_area_px")
    return recipe if least is None else replace(recipe, min_area_px=int(least))


def _not_found(product: Product, fit: float) -> ExecuteResult:
    return ExecuteResult.error(
        BOARD_NOT_FOUND,
        f"{fit:.0%} of the image fits the template of {product.pid}, expected {product.recipe.min_agreement:.0%}"
        " or more: check that the board is in place and that it is this product",
    )


def _reason(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    listed = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return f"{total} {'defect' if total == 1 else 'defects'}: {listed}"
