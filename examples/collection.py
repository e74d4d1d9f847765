"""Ask questions about a collection of pictures on several machines, with Dask (docs/collections.md).

    python examples/collection.py --images /shared/photos --q "món này là món gì" --out /shared/answers

answers with two worker processes on this machine; with --scheduler tcp://ADDRESS:8786, with the workers that are
connected there. Every part of the collection becomes a file: part-00000.jsonl, ..., each as the plain command's --out.
Started again with the same --out, it makes the parts that are not there.

Exit codes: 0 every picture was answered; 1 some could not be used; 2 wrong usage; 3 the job could not be finished.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from dask.distributed import Client, KilledWorker, LocalCluster, as_completed, get_worker

from edge_vqa import VQA, EdgeVQAError, ImageError
from edge_vqa.answer_file import fingerprint
from edge_vqa.bulk import find_pictures


def answer_part(
    pictures: list[str], questions: list[str], out: Path, model: str | None, digest: str, jobs: int | None
) -> str:
    """Run by a worker, whose name it returns: answer these pictures and write `out`, which appears when it is whole."""
    import edge_vqa  # here: a worker without edge_vqa then says so, and goes on living
    from edge_vqa.answer_file import AnswerFile, fingerprint
    from edge_vqa.bulk import answer_many

    me, worker = f"{socket.gethostname()}-{os.getpid()}", get_worker()
    if not hasattr(worker, "vqa"):
        worker.vqa = edge_vqa.VQA(model)  # once in the life of the process
    vqa = worker.vqa
    if fingerprint(vqa.model) != digest:
        raise RuntimeError(f"{me}: {vqa.model.path} is another model than where the job was started")
    unfinished = f"{out}.{me}.unfinished"  # Dask may give a part to a second worker when it has lost sight of the first
    file = AnswerFile(unfinished, vqa, questions, restart=True)
    try:
        for name, (_, answers, error) in zip(pictures, answer_many(vqa, pictures, questions, jobs)):
            if error:
                file.add_error(name, error)
            for answer in answers:
                file.add_answer(name, answer)
    finally:
        file.close()  # another try may come to this process
    Path(unfinished).replace(out)
    return me


def plan_job(options: argparse.Namespace) -> dict[str, Any]:
    """What is asked about which pictures, as FOLDER/job.json keeps it, so that parts stay the same in every run."""
    path = options.out / "job.json"
    model = VQA(options.model).model
    for question in options.q:
        model.vocabulary.encode(question)
    job: dict[str, Any] = {"model": fingerprint(model), "questions": options.q, "size": options.size}
    if path.exists():
        planned: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if {**planned, **job} != planned:
            raise EdgeVQAError(f"{path}: has another model, other questions or another --size; give another --out")
        return planned
    job["pictures"] = []
    for folder in options.images:
        for picture, source in find_pictures(os.path.abspath(folder), recursive=True):  # noqa: PTH100
            if isinstance(source, ImageError):
                raise source
            job["pictures"].append(picture)
    options.out.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".unfinished").write_text(json.dumps(job), encoding="utf-8")
    path.with_suffix(".unfinished").replace(path)
    return job


def run_job(client: Client, options: argparse.Namespace, job: dict[str, Any]) -> int:
    """Have the parts made that are not there; the exit code."""
    starts = range(0, len(job["pictures"]), options.size)
    parts = {options.out.resolve() / f"part-{i // options.size:05}.jsonl": i for i in starts}
    made = [
        client.submit(answer_part, job["pictures"][i : i + options.size], options.q, part, options.model, job["model"],
                      options.jobs, retries=2, pure=False)
        for part, i in parts.items() if not part.exists()
    ]  # fmt: skip
    for number, (_, worker) in enumerate(as_completed(made, with_results=True), 1):
        print(f"{number} of {len(made)} parts, the last by {worker}", file=sys.stderr)
    for left in options.out.glob("part-*.unfinished"):  # by workers that were lost
        left.unlink()
    records = (json.loads(line) for part in parts for line in part.open(encoding="utf-8"))
    errors = [record["error"] for record in records if "error" in record]
    print(*(f"error: {error}" for error in errors), sep="\n", end="\n" * bool(errors), file=sys.stderr)
    return 1 if errors else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", nargs="+", required=True, metavar="FOLDER", help="searched with their sub-folders")
    parser.add_argument("--q", nargs="+", required=True, metavar="QUESTION")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--model", help="as for the plain command; on every machine")
    parser.add_argument("--size", type=int, default=1000, metavar="N", help="pictures in a part")
    parser.add_argument("--jobs", type=int, metavar="N", help="pictures a worker answers at once (default: all cores)")
    parser.add_argument("--scheduler", metavar="tcp://ADDRESS:PORT", help="default: two workers on this machine")
    options = parser.parse_args()
    if options.size < 1 or not 1 <= (options.jobs or 1) <= 1024:
        parser.error("--size must be 1 or more, --jobs 1 to 1024")
    try:
        job = plan_job(options)
        cluster = options.scheduler or LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        with Client(cluster) as client:
            return run_job(client, options, job)
    except (EdgeVQAError, ImportError, KilledWorker, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
