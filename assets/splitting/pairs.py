"""Which real image a generated one is judged against: one of its class, on its side of the split.

GenImage gives every generator as many real images as it made, of the same classes, and no real image to
two generators. A generator's pairs depend on its own images and the real ones, on no other generator.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from assets.params import Split
from assets.seeds import derive_seed


def paired(rows: pd.DataFrame, real: pd.DataFrame, spec: Split, seed: int, item: str) -> pd.Series:
    """The id of the real image that each generated image answers to; None where none is left for it.

    An image that came with a `pair_id` of a kept real image (it is that image's reconstruction, say)
    keeps it, also where that real image is another generator's own. All others are paired within their
    class and side, both lined up by a hash of their ids, so that no real image answers to two of them.
    Where the class is not known, or no real image anywhere has it, any image of the same content will do.

    Args:
        rows, real: split tables of the generator `item` and of the real images, with their sides.
        spec: `reals` is `shared` or `own`; with `own`, only the real images that are dealt to `item`
            (`owned`) are given out.
    Returns:
        Ids of real images, or None, on the index of `rows`.
    """
    found = rows["pair_id"].where(rows["pair_id"].isin(real["id"]), None).astype(object)
    free = real[~real["id"].isin(found)]
    if spec.reals == "own":
        free = free[owned(real, spec.owners, seed).loc[free.index] == item]
    free = free.assign(key=_keys(free, seed, "pair"))
    wanting = rows[found.isna()]
    wanting = wanting.assign(key=_keys(wanting, seed, "pair"))
    code = _codes(pd.concat([real, rows]))
    kind = _classes(wanting, code)
    has_class = kind.isin(_classes(real, code).dropna())
    by_class = _matched(wanting[has_class], kind[has_class], free, _classes(free, code))
    found.loc[by_class.index] = by_class
    if not has_class.all():
        rest, left = wanting[~has_class], free[~free["id"].isin(by_class)]
        by_content = _matched(rest, rest["content"].fillna(""), left, left["content"].fillna(""))
        found.loc[by_content.index] = by_content
    return found


def owned(real: pd.DataFrame, owners: Sequence[str], seed: int) -> pd.Series:
    """The generator that each real image belongs to.

    The real images of a side are lined up class by class, in hash order within one, and dealt out in
    turn: all owners get equally many, of a side and of every class (give or take one).
    """
    line = real[["side", "content", "class_name"]].fillna("")
    line = line.assign(index=real["class_index"].fillna(-1).astype(int), key=_keys(real, seed, "own"))
    line = line.sort_values(["side", "content", "index", "class_name", "key"])
    turn = line.groupby("side").cumcount() % len(owners)
    return turn.map(dict(enumerate(owners))).reindex(real.index)


def _matched(rows: pd.DataFrame, rows_kind: pd.Series, real: pd.DataFrame, real_kind: pd.Series) -> pd.Series:
    """Pair rows and real images of the same kind on the same side, first with first in hash order."""
    if rows.empty or real.empty:
        return pd.Series([], dtype=object)
    one, other = _ranked(rows, rows_kind), _ranked(real, real_kind)
    pairs = one.merge(other, on=["side", "kind", "rank"], suffixes=("", "_real"))
    return pd.Series(pairs["id_real"].to_numpy(object), index=pairs["place"].to_numpy(), dtype=object)


def _ranked(table: pd.DataFrame, kind: pd.Series) -> pd.DataFrame:
    table = table[["id", "side", "key"]].assign(kind=kind, place=table.index)
    table = table[kind.notna()].sort_values(["key", "id"])
    return table.assign(rank=table.groupby(["side", "kind"]).cumcount())


def _keys(table: pd.DataFrame, seed: int, what: str) -> list[int]:
    return [derive_seed(seed, what, image) for image in table["id"].tolist()]


def _classes(table: pd.DataFrame, code: Mapping[str, int]) -> pd.Series:
    """A number for the class of each image; NaN where neither index nor name is known."""
    return table["class_index"].astype(float).fillna(table["class_name"].map(code).astype(float))


def _codes(rows: pd.DataFrame) -> dict[str, int]:
    """Class name -> its ImageNet index, if images that have both say so; else a negative number of its own.

    The two ImageNet classes called `crane`, and the like, have no index under this name.
    """
    both = rows.loc[rows["class_name"].notna(), ["class_name", "class_index"]].drop_duplicates()
    indexed = both.dropna().drop_duplicates("class_name", keep=False)
    own = {name: -1 - place for place, name in enumerate(sorted(set(both["class_name"])))}
    return {**own, **dict(zip(indexed["class_name"], indexed["class_index"].astype(int), strict=True))}
