"""Who is compared: what each needs installed, and which code of ours sets it up. README.md explains the fields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A contender. Functions and classes are named "module:name"; modules lie in bench/peers."""

    name: str
    requirements: tuple[str, ...]
    """For pip: everything that a program needs to answer a question about a JPEG. Its size on disk is measured."""
    adapter: str
    """Class of the worker process: contender.Contender, called with (model: EvqaModel, folder: Path, threads: int)."""
    program: str
    """Function whose process is the cold start: (folder, picture, question, ids, threads), all strings."""
    files: tuple[str, ...]
    """What `program` reads from its folder, by name; {words} stands for the question's length. Size is counted."""
    make: str = ""
    """Function (model: EvqaModel, folder: Path, lengths: Sequence[int]) that writes files once, before `adapter`."""
    make_with: tuple[str, ...] = ()
    """Requirements of an environment of its own for `make`; none: it runs where `adapter` does."""
    python: str = ""
    """The only Python it has packages for, as in "3.11"; none: the one that runs the comparison will do."""

    @property
    def key(self) -> str:
        """Name of its folders and in commands."""
        return self.name.lower()


OWN = Entry(
    name="edge_vqa", requirements=(".",), adapter="contender:Own", program="first_answer:edge_vqa", files=()
)  # fmt: skip

PEERS = (
    Entry(
        name="onnxruntime", requirements=("onnxruntime==1.32.0", "numpy", "Pillow"),
        adapter="onnxruntime_peer:OnnxRuntimePeer", program="first_answer:onnxruntime",
        files=("encoder-optimised.onnx", "head-{words}-optimised.onnx"),
    ),
    Entry(
        name="OpenVINO", requirements=("openvino==2026.4.1", "numpy", "Pillow"),
        adapter="openvino_peer:OpenVinoPeer", program="first_answer:openvino",
        files=("encoder.blob", "head-{words}.blob"),
    ),
    Entry(
        name="LiteRT", requirements=("ai-edge-litert==2.3.0", "numpy", "Pillow"),
        adapter="litert_peer:LiteRtPeer", program="first_answer:litert", make="litert_peer:make",
        files=("encoder.tflite", "head-{words}.tflite"),
    ),
    Entry(
        name="tflite-runtime", requirements=("tflite-runtime==2.14.0", "numpy<2", "Pillow"), python="3.11",
        adapter="tflite_runtime_peer:TfliteRuntimePeer", program="first_answer:tflite_runtime",
        make="tflite_runtime_peer:make", make_with=("ai-edge-litert==2.3.0", "numpy", "Pillow"),
        files=("encoder.tflite", "head-{words}.tflite"),
    ),
    Entry(
        name="ncnn", requirements=("ncnn==1.0.20261020", "numpy", "Pillow"),
        adapter="ncnn_peer:NcnnPeer", program="first_answer:ncnn", make="ncnn_peer:make",
        files=("encoder.param", "encoder.bin", "head.param", "head.bin"),
    ),
    Entry(
        name="MNN", requirements=("MNN==3.6.1", "numpy", "Pillow"),
        adapter="mnn_peer:MnnPeer", program="first_answer:mnn", make="mnn_peer:make",
        files=("encoder.mnn", "head-{words}.mnn"),
    ),
    Entry(
        name="ExecuTorch", requirements=("executorch==1.5.1", "torch==2.13.0", "numpy", "Pillow"),
        adapter="executorch_peer:ExecuTorchPeer", program="first_answer:executorch", make="executorch_peer:make",
        files=("encoder.pte", "head-{words}.pte"),
    ),
    Entry(
        name="PyTorch", requirements=("torch==2.13.0", "numpy", "Pillow"),
        adapter="pytorch_peer:PyTorchPeer", program="first_answer:pytorch", make="pytorch_peer:make",
        files=("encoder.pt", "head.pt"),
    ),
)  # fmt: skip

EXTRAS = ("simplejpeg", "opencv-python-headless")
"""Come into each peer's environment after its size was taken: for the scaled decode."""
