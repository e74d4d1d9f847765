"""How a command ends."""

import pytest

from edge_vqa.errors import DataError
from export.command import ends_in_one_line


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        (DataError("no train.csv"), 1, "error: no train.csv\n"),
        (PermissionError(13, "Permission denied", "x"), 1, "error: [Errno 13] Permission denied: 'x'\n"),
        (ImportError("No module named 'onnx'"), 1, "error: No module named 'onnx' (pip install '.[export]'"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_what_went_wrong_is_one_line(
    raised: BaseException, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @ends_in_one_line
    def main() -> int:
        raise raised

    assert main() == code
    error = capsys.readouterr().err
    assert error.startswith(says) and error.count("\n") == 1


def test_a_fault_of_ours_is_not_hidden_and_a_result_is_passed_on() -> None:
    @ends_in_one_line
    def main(number: int) -> int:
        return 10 // number

    assert main(5) == 2
    with pytest.raises(ZeroDivisionError):
        main(0)
