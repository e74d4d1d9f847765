"""Answers questions in Vietnamese about a picture of a dish, on the device, offline.

>>> from edge_vqa import VQA
>>> vqa = VQA()
>>> vqa.ask("bua_trua.jpg", "món này là món gì").text      # doctest: +SKIP
'cơm tấm'
"""

from .errors import DataError, EdgeVQAError, EngineError, ImageError, ModelError, QuestionError
from .vqa import VQA, Answer, Scene

__version__ = "0.5.0"
__all__ = [
    "VQA",
    "Answer",
    "DataError",
    "EdgeVQAError",
    "EngineError",
    "ImageError",
    "ModelError",
    "QuestionError",
    "Scene",
]
