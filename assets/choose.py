"""Which images of a set are taken, when not all of them are wanted."""

import pandas as pd

from assets.images.manifest import OK
from assets.seeds import derive_seed


def take(rows: pd.DataFrame, count: int | None, seed: int) -> pd.DataFrame:
    """Choose `count` usable rows, evenly over classes, and keep all unreadable ones for the record.

    The choice among a class's images follows a hash of their ids: a larger count adds images and
    drops none of the same class.
    """
    usable = rows[rows["status"] == OK]
    if count is None or count >= len(usable):
        return rows
    key = usable["id"].map(lambda image: derive_seed(seed, "take", image))
    rank = key.groupby(usable["class_name"].fillna("")).rank(method="first")
    order = pd.DataFrame({"rank": rank, "key": key}).sort_values(["rank", "key"])
    chosen = set(usable.loc[order.index[:count], "id"])
    return rows[rows["id"].isin(chosen) | (rows["status"] != OK)]
