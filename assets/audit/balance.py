"""What an item holds: contents and classes, damaged images, copies that were removed."""

from math import log
from typing import Any

import pandas as pd

from assets.images.manifest import OK

_IDS = 20


def balance(split: pd.DataFrame) -> dict[str, Any]:
    """How the kept images of one item are spread over sides, contents and classes.

    Args: split: rows of split.parquet.
    Returns:
        `images`; `sides` and `contents`, each name -> images; `classes`: how many images have a class that
        is `known`, the `number` of classes, the `largest` one, and `evenness`: the entropy of the classes'
        shares, divided by the logarithm of their number: 1 if all have as many images (None: fewer than
        two classes).
    """
    named = split["class_name"].astype(object)
    numbered = split["class_index"].astype("Int64").astype(str).where(split["class_index"].notna())
    counts = named.fillna(numbered).value_counts()
    ordered = sorted(counts.items(), key=lambda one: (-int(one[1]), str(one[0])))
    shares = counts / counts.sum()
    evenness = (
        float(-sum(share * log(share) for share in sorted(shares)) / log(len(counts)))
        if (len(counts) > 1)
        else None
    )
    return {
        "images": len(split),
        "sides": _counted(split["side"]),
        "contents": _counted(split["content"].astype(object).fillna("unknown")),
        "classes": {
            "known": int(counts.sum()),
            "number": len(counts),
            "largest": {"name": str(ordered[0][0]), "images": int(ordered[0][1])} if ordered else None,
            "evenness": None if evenness is None else round(evenness, 9),
        },
    }


def damaged(decided: pd.DataFrame) -> dict[str, Any]:
    """The images of one item that cannot be used: how many, why, and the ids of the first.

    Args: decided: rows of decisions.parquet.
    """
    bad = decided[decided["status"] != OK]
    return {
        "images": len(decided),
        "unreadable": len(bad),
        "reasons": _counted(bad["reason"].astype(object).fillna("not said")),
        "ids": sorted(bad["id"])[:_IDS],
    }


def removed_copies(decided: pd.DataFrame) -> dict[str, Any]:
    """The copies that were removed from one item: `clusters` of two images or more, the images of the
    `largest`, and how many were `removed` for what reason. A real image that a generated one is a copy of
    counts as one of its cluster.
    """
    usable = decided[decided["status"] == OK]
    own = set(usable["id"])
    members = usable["cluster"].value_counts()
    sizes = members + [name not in own for name in members.index]
    several = sizes[sizes > 1]
    return {
        "clusters": len(several),
        "largest": int(several.max()) if len(several) else 0,
        "removed": _counted(usable["removed"].dropna()),
    }


def _counted(values: pd.Series) -> dict[str, int]:
    """Value -> how often, by name."""
    return {str(name): int(count) for name, count in sorted(values.value_counts().items())}
