"""What a comparison found, ready for JSON."""

from __future__ import annotations

import dataclasses
import datetime
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .measure import ratios
from .roster import OWN

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class Conditions:
    """What else the machine did, as far as it tells."""

    load: float
    """Average number of processes that ran or wanted to in the last minute."""

    @classmethod
    def now(cls) -> Conditions:
        return cls(os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0)


def whole(session: Session, before: Conditions, after: Conditions) -> dict[str, Any]:
    """All of it: the machine, the question, the photographs, contenders with their columns, ratios, who is left out."""
    plan = session.plan
    contenders = {}
    for name, found in session.found.items():
        opened = found.get("opened", {})
        shown = opened.get("name", name) if name == OWN.name else name
        contenders[shown] = {
            "version": opened.get("version", ""), "detail": opened.get("detail", ""), "python": found["python"],
            "packages": found["packages"], "remarks": found.get("remarks", []),
            **({"agreement": found["agreement"]} if "agreement" in found else {}),
            "columns": session.columns[name],
        }  # fmt: skip
    own, *peers = contenders
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "processor": processor(), "system": f"{platform.system()} {platform.machine()}",
        "threads": list(plan.threads), "load": [before.load, after.load],
        "question": plan.question, "words": len(session.asked[0]),
        "model": str(session.model.file.about.get("name", "")),
        "photos": {
            photo.name: {k: v for k, v in dataclasses.asdict(photo).items() if k in ("width", "height", "bytes")}
            for photo in session.photos
        },
        "own": own, "contenders": contenders, "left_out": session.left_out,
        "ratios": ratios(contenders[own]["columns"], {name: contenders[name]["columns"] for name in peers}),
    }  # fmt: skip


def processor() -> str:
    """As the processor calls itself."""
    if sys.platform.startswith("linux"):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
