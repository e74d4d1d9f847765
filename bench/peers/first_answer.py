"""The smallest programs that answer one question about one picture, a function each: what a cold start runs.

Peers get the question's word ids ready, files optimised or compiled for this machine where that starts sooner, and do
nothing besides; ours is the package as it is.
"""

# mypy: disable-error-code="import-not-found,import-untyped"
# Imports stand in the functions: each process pays for its own only.

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def edge_vqa(folder: str, picture: str, question: str, ids: str, threads: str, model: str, engine: str) -> None:
    from edge_vqa import VQA

    print(VQA(model or None, engine or None, int(threads)).ask(picture, question).text, flush=True)


def onnxruntime(folder: str, picture: str, question: str, ids: str, threads: str) -> None:
    import numpy as np
    import onnxruntime as runtime
    from PIL import Image

    words = [int(i) for i in ids.split(",")]
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = int(threads), 1
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL  # it was done beforehand
    providers = ["CPUExecutionProvider"]
    encoder = runtime.InferenceSession(f"{folder}/encoder-optimised.onnx", options, providers=providers)
    head = runtime.InferenceSession(f"{folder}/head-{len(words)}-optimised.onnx", options, providers=providers)
    pixels = np.asarray(Image.open(picture).convert("RGB"))[None]
    features = encoder.run(None, {"pixels": pixels})[0]
    inputs = {"features": features, "ids": np.array([words], np.int64), "lengths": np.array([len(words)], np.int64)}
    _print(folder, head.run(["logits"], inputs)[0])


def openvino(folder: str, picture: str, question: str, ids: str, threads: str) -> None:
    import numpy as np
    import openvino as runtime
    from PIL import Image

    words = np.array([int(i) for i in ids.split(",")], np.int32)
    core = runtime.Core()
    requests = []
    for name in ("encoder", f"head-{len(words)}"):
        with open(f"{folder}/{name}.blob", "rb") as file:  # noqa: PTH123  (pathlib is one import more)
            requests.append(core.import_model(file.read(), "CPU").create_infer_request())
    encoder, head = requests
    pixels = np.array(Image.open(picture).convert("RGB"))[None]
    encoder.infer([pixels], share_inputs=True)
    features = encoder.get_output_tensor().data
    head.infer([features.reshape(1, features.shape[1], -1), words], share_inputs=True)
    _print(folder, head.get_output_tensor(0).data)


def litert(folder: str, picture: str, question: str, ids: str, threads: str) -> None:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image

    words = np.array([int(i) for i in ids.split(",")], np.int32)
    encoder = Interpreter(f"{folder}/encoder.tflite", num_threads=int(threads))
    head = Interpreter(f"{folder}/head-{len(words)}.tflite", num_threads=1)
    encoder.allocate_tensors()
    head.allocate_tensors()
    pixels = np.asarray(Image.open(picture).convert("RGB"))[None]
    source = encoder.get_input_details()[0]
    turned = (pixels ^ 128).view(np.int8) if source["dtype"] == np.int8 else pixels
    encoder.set_tensor(source["index"], turned)
    encoder.invoke()
    inputs = head.get_input_details()
    features = encoder.get_tensor(encoder.get_output_details()[0]["index"])
    head.set_tensor(inputs[0]["index"], features.reshape(inputs[0]["shape"]))
    head.set_tensor(inputs[1]["index"], words.reshape(inputs[1]["shape"]))
    head.invoke()
    _print(folder, head.get_tensor(head.get_output_details()[0]["index"]))


def tflite_runtime(folder: str, picture: str, question: str, ids: str, threads: str) -> None:
    import numpy as np
    from PIL import Image
    from tflite_runtime.interpreter import Interpreter

    words = np.array([int(i) for i in ids.split(",")], np.int32)
    encoder = Interpreter(f"{folder}/encoder.tflite", num_threads=int(threads))
    head = Interpreter(f"{folder}/head-{len(words)}.tflite", num_threads=1)
    encoder.allocate_tensors()
    head.allocate_tensors()
    encoder.set_tensor(encoder.get_input_details()[0]["index"], np.asarray(Image.open(picture).convert("RGB"))[None])
    encoder.invoke()
    inputs = head.get_input_details()
    features = encoder.get_tensor(encoder.get_output_details()[0]["index"])
    head.set_tensor(inputs[0]["index"], features.reshape(inputs[0]["shape"]))
    head.set_tensor(inputs[1]["index"], words.reshape(inputs[1]["shape"]))
    head.invoke()
    _print(folder, head.get_tensor(head.get_output_details()[0]["index"]))


def ncnn(folder: str, picture: str, question: str, ids: str, threads: str) -> None:
    import numpy as np
    from ncnn.ncnn import Mat, Net  # without the package's collection of models
    from PIL import Image

    nets = []
    for name, bfloat16 in (("encoder", True), ("head", False)):
        net = Net()
        net.opt.num_threads = int(threads)
        net.opt.use_vulkan_compute = False
        net.opt.use_bf16_storage = bfloat16
        net.load_param(f"{folder}/{name}.param")
        net.load_model(f"{folder}/{name}.bin")
        nets.append(net.create_extractor())
    encoder, head = nets
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    side = len(pixels)
    encoder.input("pixels", Mat.from_pixels(pixels, Mat.PixelType.PIXEL_RGB, side, side))
    words = np.array([int(i) for i in ids.split(",")], np.int32)
    head.input("features", encoder.extract("features")[1])
    head.input("ids", Mat(words))
    _print(folder, np.array(head.extract("answer")[1])[None])


def pytorch(folder: str, picture: str, question: str, ids: str, threads: str) -> None:
    import numpy as np
    import torch
    from PIL import Image

    torch.set_num_threads(int(threads))
    parts = []
    for name, engine in (("encoder", "onednn"), ("head", "x86")):
        torch.backends.quantized.engine = engine
        parts.append(torch.jit.load(f"{folder}/{name}.pt"))
    encoder, head = parts
    pixels = torch.from_numpy(np.array(Image.open(picture).convert("RGB")))[None]
    words = torch.tensor([[int(i) for i in ids.split(",")]])
    with torch.inference_mode():
        _print(folder, head(encoder(pixels), words).numpy())


def executorch(folder: str, picture: str, question: str, ids: str, threads: str) -> None:
    import numpy as np
    import torch  # first: the next needs its libraries
    from executorch.extension.pybindings import _C as runtime
    from PIL import Image

    words = [int(i) for i in ids.split(",")]
    runtime._unsafe_reset_threadpool(int(threads))
    programs = [runtime._load_program(f"{folder}/{name}.pte") for name in ("encoder", f"head-{len(words)}")]
    encoder, head = (program.load_method("forward") for program in programs)
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    turned = (pixels ^ 128).view(np.int8)
    encoder.set_inputs([torch.from_numpy(turned).permute(2, 0, 1)[None]])
    encoder.execute()
    head.set_inputs([encoder.get_outputs(False)[0], torch.tensor([words])])
    head.execute()
    _print(folder, head.get_outputs(False)[0].numpy())


def mnn(folder: str, picture: str, question: str, ids: str, threads: str) -> None:
    import os

    kept = os.dup(1)
    os.dup2(2, 1)  # it says on stdout what the processor has, which is no answer

    import numpy as np
    from MNN import expr, nn
    from PIL import Image

    words = np.array([int(i) for i in ids.split(",")], np.int32)
    manager = nn.create_runtime_manager(({"backend": "CPU", "numThread": int(threads)},))
    files = (("encoder", ["pixels"], "features"), (f"head-{len(words)}", ["features", "ids"], "logits"))
    encoder, head = (
        nn.load_module_from_file(f"{folder}/{name}.mnn", taken, [given], runtime_manager=manager, shape_mutable=False)
        for name, taken, given in files
    )
    pixels = np.asarray(Image.open(picture).convert("RGB"))[None]
    shown = expr.placeholder(list(pixels.shape), expr.NCHW, expr.uint8)
    asked = expr.placeholder([len(words)], expr.NCHW, expr.int)
    shown.write(pixels)
    asked.write(words)
    features = expr.convert(encoder.forward([shown])[0], expr.NCHW)
    logits = head.forward([features, asked])[0].read()
    os.dup2(kept, 1)
    _print(folder, logits)


def _print(folder: str, logits: Any) -> None:
    with open(f"{folder}/answers.txt", encoding="utf-8") as file:  # noqa: PTH123
        print(file.read().split("\n")[int(logits[0, :-1].argmax())], flush=True)
