"""Importing the package stays light."""

import subprocess
import sys


def test_importing_and_answering_loads_nothing_of_the_training_side() -> None:
    code = (
        "import sys; from edge_vqa import VQA; "
        "from PIL import Image; VQA().ask(Image.new('RGB', (64, 64)), 'món này là gì'); "
        "print([m for m in ('torch', 'torchvision', 'onnx', 'export', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_importing_alone_loads_no_engine() -> None:
    code = "import sys, edge_vqa; print([m for m in ('onnxruntime', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]"
