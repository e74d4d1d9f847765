"""What the tests of export/ share; all of them are skipped where torch is not installed."""

from pathlib import Path

import pytest
from tiny_data import CONFIG, make_dataset

pytest.importorskip("torch", reason="the tests of export/ need torch (pip install '.[export]')")


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("dữ liệu") / "tiny")


@pytest.fixture
def tiny_config(tmp_path: Path):
    """Writes a configuration of a few seconds' training; arguments fill CONFIG."""

    def write(
        model: str = "cnn-lstm-attention",
        epochs: int = 2,
        dropout: float = 0.2,
        crop: float = 0.8,
        freeze: str = "false",
    ) -> Path:
        file = tmp_path / f"{model}-{epochs}.toml"
        file.write_text(
            CONFIG.format(model=model, epochs=epochs, dropout=dropout, crop=crop, freeze=freeze), encoding="utf-8"
        )
        return file

    return write
