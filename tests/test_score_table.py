"""Tables of scores made elsewhere: what they may look like, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from assets.errors import AssayError
from assets.files import sha256_of
from assets.score_table import SURE, Options, by_id, check_table, read_table

KNOWN = pd.DataFrame(
    {
        "id": ["real-1", "real-2", "fake-1", "fake-2", "drawn-1"],
        "source": ["n01/a.png", "n02/b.png", "fake/a.png", "c.png", None],
    }
)
CONDITIONS = ["clean", "jpeg50"]


def options(**values: Any) -> Options:
    columns = {} if "path" in values else {"id": "image"}
    return Options.model_validate({"file": "s.csv", "scale": "logit", **columns, **values})


def write(text: str, **values: Any) -> Options:
    Path("s.csv").write_text(text)
    return options(sha256=sha256_of(Path("s.csv")), **values)


def refusal(text: str, **values: Any) -> str:
    given = write(text, **values)
    with pytest.raises(AssayError) as caught:
        check_table(given, CONDITIONS, "given.x.options")
        by_id(read_table(given, "given.x.options"), KNOWN, given, "given.x.options")
    return str(caught.value)


def logits(text: str, **values: Any) -> dict[str, float]:
    given = write(text, **values)
    check_table(given, CONDITIONS, "given.x.options")
    rows = by_id(read_table(given, ""), KNOWN, given, "")
    return {f"{row['id']} {row['condition']}": float(row["logit"]) for _, row in rows.iterrows()}


def test_a_table_by_ids(workdir: Path) -> None:
    found = logits("image,score,more\n real-2 ,-1.5,x\nfake-1,2,y\n")
    assert found == {"fake-1 clean": 2.0, "real-2 clean": -1.5}


def test_conditions_other_names_and_reals_that_are_high(workdir: Path) -> None:
    text = "image,p_real,made\nreal-1,0.75,clean\nreal-1,0.5,jpeg50\n"
    found = logits(text, score="p_real", condition="made", scale="probability", higher_means="real")
    assert found == {"real-1 clean": pytest.approx(-np.log(3)), "real-1 jpeg50": 0.0}


def test_probabilities_keep_their_order_up_to_the_last_digit(workdir: Path) -> None:
    given = ["0", "1e-40", "1e-12", "0.5", "0.9999999999", "0.9999999999999", "1"]
    text = "image,score\n" + "".join(f"i{number},{value}\n" for number, value in enumerate(given))
    found = read_table(write(text, scale="probability"), "")["logit"].to_numpy()
    assert found[0] == -SURE and found[-1] == SURE and (np.diff(found) > 0).all()
    values = np.array([float(value) for value in given[2:5]])
    assert np.allclose(1 / (1 + np.exp(-found[2:5].astype(float))), values, rtol=1e-5)


def test_parquet_says_the_same_as_csv(workdir: Path) -> None:
    frame = pd.DataFrame({"image": ["real-1", "fake-1"], "score": np.array([0.25, 0.5], np.float32)})
    frame.to_parquet("s.parquet")
    frame.to_csv("s.csv", index=False)
    both = [read_table(options(file=f"s.{kind}"), "") for kind in ("csv", "parquet")]
    pd.testing.assert_frame_equal(*both)


@pytest.mark.parametrize(
    ("path", "image"),
    [
        ("n01/a.png", "real-1"),
        ("/data/imagenet/n01/a.png", "real-1"),
        ("b.png", "real-2"),
        ("D:\\fakes\\c.png", "fake-2"),
        ("./fake/a.png", "fake-1"),
    ],
)
def test_paths_as_they_were_imported_or_longer_or_shorter(workdir: Path, path: str, image: str) -> None:
    assert logits(f"file,score\n{path},1\n", path="file") == {f"{image} clean": 1.0}


@pytest.mark.parametrize(
    ("rows", "values", "message"),
    [
        (
            "real-1,0\nreel-9,0\nreel-8,1\n",
            {},
            "names 2 of 3 images that are not in this benchmark, first reel-9; ids look like real-1",
        ),
        ("real-1,0\nreal-2,1\nreal-1,0\n", {}, "1 of 3 rows are about an image that stands there already"),
        ("real-1,0\nreal-2,nan\nfake-1,\n", {}, "2 of 3 scores are not finite numbers (first, row 2: real-2"),
        ("real-1,0\nreal-2,inf\n", {}, "1 of 2 scores are not finite numbers"),
        ("real-1,high\n", {}, "scores are not finite numbers (first, row 1: real-1, score high)"),
        ("real-1,1e300\n", {}, "too large for single precision"),
        (
            "real-1,0.5\nreal-2,1.5\n",
            {"scale": "probability"},
            "1 of 2 scores are no probabilities in [0, 1]; `scale: logit`? (first, row 2: real-2, score 1.5)",
        ),
        (",0\n", {}, "1 of 1 rows name no image"),
        ("", {}, "s.csv has no rows"),
        ("real-1,1\n", {"score": "scoer"}, "has no column 'scoer'; did you mean 'score'?"),
    ],
)
def test_rows_that_make_no_sense(workdir: Path, rows: str, values: Any, message: str) -> None:
    found = refusal("image,score\n" + rows, **values)
    assert found.startswith("given.x.options") and message in found


def test_paths_that_fit_several_none_or_the_same_image(workdir: Path) -> None:
    several = refusal("file,score\na.png,1\n", path="file")
    assert "has 1 path(s) that fit several images, first a.png (real-1, fake-1)" in several
    assert "names 1 of 1 images that are not in this benchmark, first n03/a.png" in refusal(
        "file,score\nn03/a.png,1\n", path="file"
    )
    twice = refusal("file,score\nb.png,1\nn02/b.png,1\n", path="file")
    assert (
        "has 1 row(s) about an image that stands there already under another path, first n02/b.png" in twice
    )


def test_a_condition_that_is_not_there(workdir: Path) -> None:
    text = "image,score,made\nreal-1,1,clean\nreal-1,1,jpeg05\n"
    found = refusal(text, condition="made")
    assert "1 row(s) of conditions that are not under 'degrade', first 'jpeg05'; did you mean" in found
    assert "1 of 2 rows are about an image and condition" in refusal(
        "image,score,made\nreal-1,1,clean\nreal-1,2,clean\n", condition="made"
    )


def test_a_file_is_there_pinned_and_whole(workdir: Path) -> None:
    given = write("image,score\nreal-1,1\n")
    with pytest.raises(AssayError, match=f"sha256 is missing: .*\n  sha256: {given.sha256}"):
        check_table(options(), CONDITIONS, "x")
    Path("s.csv").write_text("image,score\nreal-1,2\n")
    with pytest.raises(AssayError, match=f"not {given.sha256} as `sha256` says"):
        check_table(given, CONDITIONS, "x")
    with pytest.raises(AssayError, match=r"t\.csv is not there"):
        check_table(options(file="t.csv"), CONDITIONS, "x")
    Path("s.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(AssayError, match=r"s\.parquet cannot be read"):
        read_table(options(file="s.parquet"), "x")
    Path("s.csv").write_bytes(b"image,score\n\xff\xfe,1\n")
    with pytest.raises(AssayError, match=r"s\.csv cannot be read"):
        read_table(options(), "x")


@pytest.mark.parametrize("values", [{"path": "file", "id": "image"}, {"id": None}, {"file": "scores.txt"}])
def test_options_that_do_not_go_together(values: Any) -> None:
    with pytest.raises(ValueError):
        options(**values)
