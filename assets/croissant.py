"""croissant.json: what a folder of images holds, in ML Commons' words.

Source: Croissant 1.0, http://mlcommons.org/croissant/1.0. The records are those of the export's
manifest.parquet; the pictures are file sets beside it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assets.files import sha256_of
from assets.images.manifest import COLUMNS

MANIFEST = "manifest.parquet"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_FORMATS = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "tif": "image/tiff",
    "avif": "image/avif",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tar": "application/x-tar",
    "parquet": "application/x-parquet",
}
_OWN = {
    "set": "the image set: a source of real images, or a generator",
    "file": "where the picture lies, in this folder; null if it could not be read",
    "member": "its name in a tar, or its row in a parquet file",
}
_WHOLE = ("label", "class_index", "seed", "size", "width", "height", "frames", "jpeg_quality")


def croissant(
    folder: Path, layout: str, sets: Mapping[str, Mapping[str, Any]], records: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The description of an export, ready for JSON.

    Args:
        folder: the export; manifest.parquet lies in it.
        sets: image set -> `real` (bool), `rows`, and of generators `family` and `released`.
        records: rows of the manifest.
    """
    real = sum(one["rows"] for one in sets.values() if one["real"])
    generated = sum(one["rows"] for one in sets.values() if not one["real"])
    names = ", ".join(name for name, one in sets.items() if not one["real"])
    endings = sorted({str(record["file"]).rpartition(".")[2] for record in records if record["file"]})
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "assay_benchmark_images",
        "description": f"{real:,} real and {generated:,} generated images ({names or 'none'}), exported by "
        f"Assay in the layout '{layout}'. label: 0 real, 1 generated.",
        "version": "1.0.0",
        "license": "mixed: real images keep their sources' terms, generated ones those of their generators",
        "url": "https://arxiv.org/abs/2306.08571",
        "citeAs": "Zhu et al., GenImage, arXiv 2306.08571; Boychev and Cholakov, ImagiNet, arXiv 2407.20020",
        "dataCollection": "Real images collected from the sources named in `set`; generated images drawn, or "
        "imported from the release of their generator. The column `record` has the settings.",
        "dataBiases": "README.md says which properties of the files tell the classes apart.",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": MANIFEST,
                "name": MANIFEST,
                "contentUrl": MANIFEST,
                "encodingFormat": _FORMATS["parquet"],
                "sha256": sha256_of(folder / MANIFEST),
            },
            *(
                {
                    "@type": "cr:FileSet",
                    "@id": f"{ending}-files",
                    "name": f"{ending}-files",
                    "encodingFormat": _FORMATS.get(ending, "application/octet-stream"),
                    "includes": f"data/*.{ending}" if ending == "parquet" else f"**/*.{ending}",
                }
                for ending in endings
            ),
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "images",
                "name": "images",
                "description": "One record an image.",
                "key": {"@id": "images/id"},
                "field": [_field(name, text) for name, text in _columns().items()],
            }
        ],
    }


def _columns() -> dict[str, str]:
    return {**_OWN, **{name: text for name, (_, text) in COLUMNS.items() if name not in ("shard", "offset")}}


def _field(name: str, description: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"images/{name}",
        "name": name,
        "description": description,
        "dataType": "sc:Integer" if name in _WHOLE else "sc:Text",
        "source": {"fileObject": {"@id": MANIFEST}, "extract": {"column": name}},
    }
