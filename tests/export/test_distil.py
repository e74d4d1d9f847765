"""A small network learns from a large one, on a tiny data set."""

from pathlib import Path

import pytest
import torch

from edge_vqa.errors import DataError
from export.config import load_config
from export.data import load_dataset
from export.distil import Stage, Student, TeacherViews, distil, load_student, make_student, resized
from export.models import Network, Shape
from export.run_folder import RunFolder
from export.train import build_vocabulary
from export.views import Labels, Vocabulary

HEAD = {"embedding": 8, "hidden": 12, "joint": 16, "width": 16}


@pytest.fixture(scope="module")
def teacher(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """An untrained MobileNetV2 in a run folder: what it sees is arbitrary, but can be learnt."""
    dataset, folder = load_dataset(tiny_data), RunFolder(tmp_path_factory.mktemp("teacher"))
    vocabulary, answers = Vocabulary(build_vocabulary(dataset)), dataset.answers()
    config = tmp_path_factory.mktemp("configuration") / "teacher.toml"
    config.write_text('model = "mobilenetv2-lstm-attention"\nside = 64\nstore = 64\n[[stage]]\nepochs = 1\nside = 64\n')
    torch.manual_seed(0)
    network = Network(Shape("mobilenetv2-lstm-attention", len(vocabulary), len(answers), last=64, **HEAD))
    folder.begin(load_config(config), network.shape, vocabulary, answers, Labels.of(dataset))
    folder.save_weights(network)
    return folder


@pytest.fixture(scope="module")
def views(teacher: RunFolder, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> TeacherViews:
    return TeacherViews(teacher, load_dataset(tiny_data), tmp_path_factory.mktemp("views"), 2)


def test_what_the_teacher_saw_is_what_it_sees(views: TeacherViews) -> None:
    pixels, seen, batch = next(views.batches(0, 0, 64))
    with torch.inference_mode():
        torch.testing.assert_close(views.network.encoder.see(pixels), seen, rtol=2e-3, atol=2e-3)  # kept as float16
    assert len(batch.pixels) == len(pixels) and batch.of.max() < len(pixels)


def test_views_are_looked_at_once(views: TeacherViews, teacher: RunFolder, tiny_data: Path) -> None:
    made = (views.folder / "seen.npy").stat().st_mtime_ns
    again = TeacherViews(teacher, load_dataset(tiny_data), views.folder.parent, 2)
    assert (again.folder / "seen.npy").stat().st_mtime_ns == made
    assert [[view[1] for view in copy] for copy in again.questions] == [
        [v[1] for v in copy] for copy in views.questions
    ]


def test_a_student_comes_closer_to_its_teacher(views: TeacherViews, tiny_data: Path, tmp_path: Path) -> None:
    student = Student(
        64, {"multiplier": 0.35, "last": 32}, stages=(Stage(10), Stage(4, frozen=1)), head_epochs=0, average=0.5
    )
    folder = RunFolder(tmp_path / "run")
    trained = distil(views, student, load_dataset(tiny_data), folder)
    first, last = folder.history()[0], folder.history()[-1]
    assert last["mimic"] < 0.8 * first["mimic"]
    assert trained.shape.multiplier == 0.35 and last["epoch"] == 14
    folder.draw_curves()
    assert (folder.path / "curves.png").is_file()
    loaded, vocabulary, answers, side = folder.load()
    assert (side, list(answers)) == (64, views.answers) and vocabulary.words == views.vocabulary.words
    torch.testing.assert_close(
        loaded.encoder.project[0].weight, trained.encoder.project[0].weight, rtol=1e-3, atol=1e-3
    )
    untouched, taught = views.network.head.state_dict(), trained.head.state_dict()
    assert all(torch.equal(untouched[name], taught[name]) for name in untouched)  # head_rate is 0


def test_a_head_of_other_sizes_must_learn(views: TeacherViews) -> None:
    with pytest.raises(DataError, match="head_rate"):
        make_student(views, Student(sizes={"hidden": 10}))
    assert make_student(views, Student(sizes={"hidden": 10}, stages=(Stage(head_rate=1e-3),))).shape.hidden == 10


def test_a_student_starts_from_another_one_but_not_from_a_narrower_one(views: TeacherViews, tmp_path: Path) -> None:
    narrow = RunFolder(tmp_path)
    network = make_student(views, Student(sizes={"multiplier": 0.5}))
    narrow.begin(views.run.config(), network.shape, views.vocabulary, views.answers, views.collate.labels)
    narrow.save_weights(network)
    again = make_student(views, Student(sizes={"multiplier": 0.5}, start=str(tmp_path)))
    assert torch.equal(
        again.encoder.backbone[3].conv[0][0].weight, narrow.load()[0].encoder.backbone[3].conv[0][0].weight
    )
    with pytest.raises(DataError, match="cannot be cut down"):
        make_student(views, Student(start=str(tmp_path)))


def test_maps_shrink_by_their_means() -> None:
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert resized(maps, 4) is maps
    torch.testing.assert_close(resized(torch.full((1, 1, 7, 7), 3.0), 4), torch.full((1, 1, 4, 4), 3.0))
    assert float(resized(maps, 2).mean()) == pytest.approx(7.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("side = 64\n", "teacher"),
        ('teacher = "x"\nsize = 1\n', "no setting size"),
        ("teacher = \n", "Invalid"),
        ('teacher = "x"\nside = "x"\n', "give int"),
        ('teacher = "x"\nside = 100\n', "32"),
        ('teacher = "x"\n[[stage]]\nepoch = 1\n', "no setting epoch"),
    ],
)
def test_mistakes_in_a_configuration_are_named(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "student.toml"
    file.write_text(text)
    with pytest.raises(DataError, match=says):
        load_student(file)
    with pytest.raises(DataError, match="No such file"):
        load_student(tmp_path / "absent.toml")


def test_the_released_configuration_is_read() -> None:
    teacher, student = load_student(Path(__file__).parents[2] / "export" / "students" / "tiny.toml")
    assert (Path(__file__).parents[2] / teacher / "run.json").is_file()
    assert student.sizes["multiplier"] == 0.75 and [s.epochs for s in student.stages] == [10, 3]
