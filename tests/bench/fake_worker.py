"""A worker process that behaves as its first argument says; a script, for the tests of bench.peers."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

LOGITS = 40


def reply(request: dict[str, Any], behaviour: str, state: dict[str, int]) -> dict[str, Any]:
    if behaviour == "failing" and request["do"] == "open":
        return {"error": "illegal instruction"}
    if request["do"] == "open":
        return {"name": behaviour, "version": "1.0", "detail": "made up"}
    if request["do"] == "show":
        state["best"] = len(request["ids"]) + (behaviour == "wrong")
    if request["do"] == "answer":
        return {"place": state["best"], "logits": [float(i == state["best"]) for i in range(LOGITS)]}
    if request["do"] == "photo":
        if behaviour == "no-scaled" and request["way"] == "scaled":
            return {"error": "ModuleNotFoundError: No module named 'simplejpeg'"}
        blurred = behaviour == "blurred" and request["way"] == "usual"
        return {"place": state["best"] + blurred}
    if request["do"] == "time":
        return {"ns": [2_000_000 if behaviour == "ours" else 5_000_000] * request["burst"]}
    return {}


def main(behaviour: str) -> None:
    state = {"best": 0}
    for line in sys.stdin:
        request = json.loads(line)
        if behaviour == "dying" and request["do"] == "time":
            sys.exit("out of memory")
        if behaviour == "slow":
            time.sleep(60)
        print("I am no JSON" if behaviour == "garbage" else json.dumps(reply(request, behaviour, state)), flush=True)


main(sys.argv[1])
