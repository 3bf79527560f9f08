"""predictions.parquet: what goes in comes out, and what contradicts itself neither goes in nor comes out."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.predictions import COLUMNS, KEY, PredictionsError, read_predictions, write_predictions
from tests.made_up import rows


def valid_rows():
    return pd.concat(
        [rows("dcgan", "ldm", [0.5, np.nan, -1.0], condition=name) for name in ("clean", "jpeg")]
    )


def test_predictions_come_back_as_they_went_and_their_bytes_depend_on_content_alone(tmp_path):
    one, other = tmp_path / "a" / "one.parquet", tmp_path / "other.parquet"
    frame = valid_rows()
    write_predictions(one, frame)
    write_predictions(other, frame.sample(frac=1, random_state=1)[list(reversed(COLUMNS))])
    assert one.read_bytes() == other.read_bytes()
    back = read_predictions(one)
    assert list(back.columns) == list(COLUMNS)
    assert back["logit"].tolist()[:1] == [0.5] and np.isnan(back["logit"].to_numpy()[1])
    assert back["status"].tolist()[:2] == ["ok", "unreadable"]
    assert back["class_name"].isna().all()
    assert pq.read_schema(one).metadata is None
    assert pq.read_table(one, columns=["logit"]).column(0).null_count == 0


def test_no_rows_are_a_valid_file(tmp_path):
    write_predictions(tmp_path / "none.parquet", valid_rows().iloc[:0])
    assert len(read_predictions(tmp_path / "none.parquet")) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logit": [0.5, np.nan, np.inf]}, "not finite though the status is ok.*ldm-0002"),
        ({"logit": [0.5, 2.0, -1.0]}, "there is a logit though the status is not ok.*ldm-0001"),
        ({"id": ["x", "y", "x"]}, "this row stands twice .*id x.*clean"),
        ({"label": [1, 1, 2]}, "neither 0"),
        ({"id": ["z", "y", "z"]}, "this row stands twice .*id z.*1 such row"),
        ({"group": ["a", None, "b"]}, "'group' has a null"),
        ({"threshold": [0.0, np.inf, 0.0]}, "the threshold is not finite"),
    ],
)
def test_predictions_that_contradict_themselves_are_refused(tmp_path, change, message):
    path = tmp_path / "predictions.parquet"
    frame = rows("dcgan", "ldm", [0.5, np.nan, -1.0]).assign(**change)
    with pytest.raises(PredictionsError, match=message):
        write_predictions(path, frame)
    assert not path.exists()


def test_columns_are_checked_by_name_and_type(tmp_path):
    path = tmp_path / "predictions.parquet"
    with pytest.raises(PredictionsError, match=r"missing column\(s\) threshold, logit"):
        write_predictions(path, valid_rows().drop(columns=["threshold", "logit"]))
    with pytest.raises(PredictionsError, match="unknown column 'logits'; did you mean 'logit'"):
        write_predictions(path, valid_rows().assign(logits=0))
    write_predictions(path, valid_rows())
    table = pq.read_table(path)
    at = table.column_names.index("seed")
    pq.write_table(table.set_column(at, "seed", table["seed"].cast(pa.string())), path)
    with pytest.raises(PredictionsError, match="'seed' holds string, expected int64"):
        read_predictions(path)
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(PredictionsError, match="damaged"):
        read_predictions(path)
    with pytest.raises(PredictionsError, match="is not there"):
        read_predictions(tmp_path / "nowhere.parquet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logit": [0.5, np.nan, np.inf]}, "not finite though the status is ok.*ldm-0002"),
        ({"id": ["x", "y", "x"]}, "this row stands twice .*id x.*clean"),
        ({"label": [1, 1, 2]}, "neither 0"),
        ({"weights": ["a", None, "b"]}, "'weights' has a null"),
    ],
)
def test_a_file_that_something_else_wrote_is_checked_when_it_is_read(tmp_path, change, message):
    path = tmp_path / "predictions.parquet"
    frame = rows("dcgan", "ldm", [0.5, np.nan, -1.0])
    write_predictions(path, frame)
    schema = pa.schema([field.with_nullable(True) for field in pq.read_schema(path)])
    pq.write_table(pa.Table.from_pandas(frame.assign(**change)[schema.names], schema), path)
    with pytest.raises(PredictionsError, match=message):
        read_predictions(path)


def test_rows_are_sorted_and_a_row_that_stands_twice_is_found_in_any_order(tmp_path):
    path = tmp_path / "predictions.parquet"
    frames = [
        rows("dcgan", "ldm", [1, 2, 3], detector=detector, condition=condition, seed=seed)
        for detector in ("zebra", "ant")
        for seed in (10, 9)
        for condition in ("jpeg", "clean")
    ]
    frame = pd.concat(frames, ignore_index=True).sample(frac=1, random_state=0)
    write_predictions(path, frame)
    keys = list(map(tuple, read_predictions(path)[KEY].to_numpy()))
    assert keys == sorted(keys) and len(keys) == 24
    twice = pd.concat([frame, frame.iloc[[5]]]).sample(frac=1, random_state=1)
    with pytest.raises(PredictionsError, match=f"stands twice .id {frame['id'].iloc[5]}, .*1 such row"):
        write_predictions(path, twice)
