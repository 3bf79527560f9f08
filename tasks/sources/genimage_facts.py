"""What the GenImage release holds: its eight generators, counts, names, and the files known to be damaged."""

from typing import NamedTuple


class Subset(NamedTuple):
    """One of the eight generators, and what its release holds."""

    family: str
    released: str
    folders: tuple[str, ...]
    """Names of its folders, letters and digits alone."""
    token: str
    """What stands after the class in its file names."""
    published: dict[str, int]
    """Images by `side/kind`."""


def _counts(ai: int, nature: int, test: int) -> dict[str, int]:
    return {"train/ai": ai, "train/nature": nature, "test/ai": test, "test/nature": test}


SUBSETS = {
    # Midjourney V5
    "midjourney": Subset(
        "proprietary",
        "2023-03",
        ("midjourney", "imagenetmidjourney"),
        "midjourney",
        _counts(162_000, 161_701, 6_000),
    ),
    "sd14": Subset(
        "latent-diffusion",
        "2022-08",
        ("stablediffusionv14", "imagenetai0419sdv4", "sdv14", "sdv4", "sd14"),
        "sdv4",
        _counts(162_000, 162_000, 6_000),
    ),
    "sd15": Subset(
        "latent-diffusion",
        "2022-10",
        ("stablediffusionv15", "imagenetai0424sdv5", "sdv15", "sdv5", "sd15"),
        "sdv5",
        _counts(166_000, 153_274, 8_000),
    ),
    "adm": Subset(
        "pixel-diffusion", "2021-05", ("adm", "imagenetai0508adm"), "adm", _counts(162_000, 157_453, 6_000)
    ),
    "glide": Subset(
        "pixel-diffusion", "2021-12", ("glide", "imagenetglide"), "glide", _counts(162_000, 162_000, 6_000)
    ),
    "wukong": Subset(
        "latent-diffusion",
        "2022-11",
        ("wukong", "imagenetai0424wukong"),
        "wukong",
        _counts(162_000, 160_739, 6_000),
    ),
    "vqdm": Subset(
        "vq-diffusion", "2021-11", ("vqdm", "imagenetai0419vqdm"), "vqdm", _counts(162_000, 162_000, 6_000)
    ),
    "biggan": Subset(
        "gan", "2018-09", ("biggan", "imagenetai0419biggan"), "biggan", _counts(162_000, 162_000, 6_000)
    ),
}
"""In the order of the paper's tables; sd15 alone has 166 + 8 images a class, the others 162 + 6."""

CORRUPT = {
    **{f"116_biggan_{number}.png": "biggan" for number in ("00081", "00094", "00098", "00107")},
    **{f"033_sdv4_{number}.png": "sd14" for number in ("00134", "00137", "00152")},
    **{f"115_adm_{number}.PNG": "adm" for number in (135, 141, 142, 154, 156, 164)},
    "GLIDE_1000_200_08_808_glide_00033.png": "glide",
    **{f"208_midjourney_{number}.png": "midjourney" for number in (76, 91, 92)},
}
"""The files of train/ai that are damaged in the release itself -> their generator."""
DRIVE_CORRUPT = ("n03444034", "n03530642", 3_648)
"""JPEGs of sd15's train/nature damaged in one hosted copy: first and last WordNet id, and how many."""
