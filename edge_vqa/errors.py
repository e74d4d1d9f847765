"""Every error that a user's input can cause; all of them derive from EdgeVQAError."""


class EdgeVQAError(Exception):
    """Base class: catch this to catch everything that edge_vqa raises on purpose."""


class ImageError(EdgeVQAError):
    """The picture cannot be used: missing, not a picture, truncated or too large."""


class QuestionError(EdgeVQAError):
    """The question cannot be used: empty, or not text."""


class ModelError(EdgeVQAError):
    """The model file is missing, damaged, or made for another version."""


class EngineError(EdgeVQAError):
    """The engine is unknown, not installed, or failed."""


class DataError(EdgeVQAError):
    """A data set on disk breaks its format; the message names the file and the row."""
