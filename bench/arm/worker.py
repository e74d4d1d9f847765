"""Runs in the emulated machine: sets one contender up, runs it once between markers, and asks it what the others are.

    python -m bench.arm.worker CONTENDER FOLDER MODE

FOLDER is session.prepare_files'; what is found out goes to FOLDER/CONTENDER.json. MODE: "regions", or "steps" (ours
only). Regions are numbered as in ENCODER and HEAD; whatever runs between them belongs to others.

Between a region's markers stands one call of the engine with everything laid ready, and no more of Python than that.
"""

# mypy: disable-error-code="import-not-found,import-untyped"

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

MARKER = 0x4242
ELSE, ENCODER, HEAD, STEPS = 0, 1, 2, 3
"""Numbers of regions."""


class Contender(Protocol):
    """An engine, with the functions that are marked; each computes on what `show` laid ready."""

    detail: str

    def show(self, pixels: bytes, ids: Sequence[int]) -> None: ...

    def encode(self) -> object: ...

    def carry(self) -> None:
        """The encoder's features to where the head reads them, where the two are not one engine's."""

    def ask(self) -> object: ...

    def logits(self) -> Sequence[float]: ...


class Own:
    """The C interface of the library that EDGE_VQA_LIBRARY names, or of the installed one."""

    def __init__(self, folder: Path) -> None:
        from edge_vqa.engines import native
        from edge_vqa.model_file import load_model

        self.library = native.load_library()
        model = load_model(str(folder / "model.evqa"))
        self.engine = native.NativeEngine(self.library, model, 1)
        self.scene = native.NativeScene(self.library, self.engine.handle, model.path)
        self._image, self._side = native._Image, model.side
        self._logits = (ctypes.c_float * (len(model.answers) + 1))()
        self._attention = (ctypes.c_float * model.cells**2)()
        self.detail = f"kernels for {self.engine.isa}"

    def show(self, pixels: bytes, ids: Sequence[int]) -> None:
        self.pixels = pixels
        image = self._image(0, self._side, self._side, (ctypes.c_char_p * 2)(pixels, None))
        self._looked = (self.engine.handle, ctypes.byref(image), self.scene.pointer)
        words = (ctypes.c_int32 * len(ids))(*ids)
        self._asked = (self.engine.handle, self.scene.pointer, words, len(ids), self._logits, self._attention)

    def encode(self) -> object:
        return self.library.look(*self._looked)

    def carry(self) -> None:
        pass

    def ask(self) -> object:
        return self.library.ask_words(*self._asked)

    def logits(self) -> Sequence[float]:
        return list(self._logits)


class LiteRt:
    """Set up as bench.peers does."""

    def __init__(self, folder: Path) -> None:
        interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter
        self.numpy = importlib.import_module("numpy")
        self.encoder = interpreter(str(folder / "encoder.tflite"), num_threads=1)
        self.head = interpreter(str(folder / "head-5.tflite"), num_threads=1)
        for opened in (self.encoder, self.head):
            opened.allocate_tensors()
        self.detail = f"LiteRT {importlib.metadata.version('ai-edge-litert')}, XNNPACK"

    def show(self, pixels: bytes, ids: Sequence[int]) -> None:
        source, (_, words) = self.encoder.get_input_details()[0], self.head.get_input_details()
        self.encoder.set_tensor(source["index"], self.numpy.frombuffer(pixels, "u1").reshape(source["shape"]))
        self.head.set_tensor(words["index"], self.numpy.array([ids], words["dtype"]).reshape(words["shape"]))

    def encode(self) -> object:
        return self.encoder.invoke()

    def carry(self) -> None:
        features, target = self.encoder.get_output_details()[0], self.head.get_input_details()[0]
        self.head.set_tensor(target["index"], self.encoder.get_tensor(features["index"]).reshape(target["shape"]))

    def ask(self) -> object:
        return self.head.invoke()

    def logits(self) -> Sequence[float]:
        found: list[float] = self.head.get_tensor(self.head.get_output_details()[0]["index"])[0].tolist()
        return found


class OnnxRuntime:
    """Set up as bench.peers does; `encoder` names the file, whose activations are unsigned or signed bytes."""

    def __init__(self, folder: Path, encoder: str) -> None:
        self.runtime, self.numpy = importlib.import_module("onnxruntime"), importlib.import_module("numpy")
        self.encoder = self._session(folder, encoder, {"batch": 1})
        self.head = self._session(folder, "head-5", {"pictures": 1, "questions": 1, "words": 5})
        self._features = self.numpy.empty(self.encoder.get_outputs()[0].shape, "f4")
        self.detail = f"onnxruntime {self.runtime.__version__}, sizes fixed, io binding"

    def _session(self, folder: Path, name: str, sizes: dict[str, int]) -> Any:
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        for symbol, size in sizes.items():
            options.add_free_dimension_override_by_name(symbol, size)
        options.optimized_model_filepath = str(folder / f"{name}-optimised.onnx")  # for bench.peers.first_answer
        return self.runtime.InferenceSession(str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])

    def show(self, pixels: bytes, ids: Sequence[int]) -> None:
        np, given = self.numpy, self.encoder.get_inputs()[0]
        picture = np.frombuffer(pixels, "u1").reshape(given.shape).copy()
        if given.type == "tensor(int8)":
            picture = (picture ^ 128).view("i1")
        self._found = [np.empty(output.shape, "f4") for output in self.head.get_outputs()]
        words = {"ids": np.array([ids], "i8"), "lengths": np.array([len(ids)], "i8")}
        names = [output.name for output in self.head.get_outputs()]
        self._encoding = self._bind(self.encoder, {"pixels": picture}, {"features": self._features})
        self._asking = self._bind(self.head, {"features": self._features, **words}, dict(zip(names, self._found)))

    def _bind(self, session: Any, inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
        binding, held = session.io_binding(), []
        for arrays, bind in ((inputs, binding.bind_ortvalue_input), (outputs, binding.bind_ortvalue_output)):
            for name, array in arrays.items():
                held.append(self.runtime.OrtValue.ortvalue_from_numpy(array))  # shares the array's memory
                bind(name, held[-1])
        return binding, held

    def encode(self) -> object:
        return self.encoder.run_with_iobinding(self._encoding[0])

    def carry(self) -> None:
        pass

    def ask(self) -> object:
        return self.head.run_with_iobinding(self._asking[0])

    def logits(self) -> Sequence[float]:
        found: list[float] = self._found[0][0].tolist()
        return found


MAKERS: dict[str, Callable[[Path], Contender]] = {
    "ours": Own,
    "litert": LiteRt,
    "onnxruntime-u8": lambda folder: OnnxRuntime(folder, "encoder"),
    "onnxruntime-s8": lambda folder: OnnxRuntime(folder, "encoder-s8"),
}


def main(name: str, folder: Path, mode: str) -> None:
    asked = json.loads((folder / "asked.json").read_text(encoding="utf-8"))
    contender = MAKERS[name](folder)
    found: dict[str, Any] = {"detail": contender.detail, "logits": []}
    seen = ""
    for number, (picture, ids) in enumerate(asked):
        contender.show((folder / picture).read_bytes(), ids)
        if picture != seen:
            contender.encode()
            contender.carry()
        contender.ask()
        if not number:  # the calls above have warmed it up
            if mode == "steps":
                found["steps"] = profile(contender)
                break
            between(ENCODER, contender.encode)
            contender.carry()
            between(HEAD, contender.ask)
        seen = picture
        found["logits"].append(list(contender.logits()))
    (folder / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")


def between(number: int, call: Callable[[], object]) -> None:
    """Run `call` as a region."""
    mark = ctypes.CDLL(None).syscall
    mark(MARKER, ELSE)
    call()
    mark(MARKER, number)


def profile(own: Any) -> list[dict[str, Any]]:
    """The steps of a look in their order; the engine reads the clock before the first and after each."""
    from bench.layers import MOST_STEPS, Step

    steps, count = (Step * MOST_STEPS)(), ctypes.c_int32()
    function = ctypes.CDLL(own.library.path).evqa_profile_look
    function.argtypes = (ctypes.c_void_p, ctypes.c_char_p, *(ctypes.c_void_p,) * 2, ctypes.c_int32, ctypes.c_void_p)
    given = (own.engine.handle, own.pixels, own.scene.pointer, steps, MOST_STEPS, ctypes.byref(count))
    between(STEPS, lambda: function(*given))
    return [
        {"name": s.name.decode(), "first_layer": s.first_layer, "layers": s.layers, "macs": s.macs}
        for s in steps[: count.value]
    ]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
