"""Image sets: bytes in, the same bytes out; damage is named; a crash leaves one whole set."""

import tarfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.images.imageset import ImageSet, ImageSetError, ImageSetWriter, link_set, open_sets
from assets.images.manifest import ManifestError, write_manifest
from tests.conftest import file_bytes, textured

FILES = {f"a-{index}": file_bytes(textured(index), "JPEG" if index % 2 else "PNG") for index in range(7)}


def write(path: Path, files: dict[str, bytes] = FILES, **options: object) -> ImageSet:
    with ImageSetWriter(path, **options) as writer:
        for name, data in files.items():
            writer.add(name, data, label=1, generator="g", group=name)
    return ImageSet(path)


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def test_original_bytes_come_back_by_id_and_by_stream(workdir: Path) -> None:
    images = write(Path("set"), per_shard=3)
    assert [images.read(name) for name in FILES] == list(FILES.values())
    assert dict(images.stream()) == FILES
    assert sorted(images.rows["shard"].unique()) == sorted(p.name for p in Path("set").glob("*.tar"))
    images.verify()


def test_any_tar_reads_the_shards_at_the_manifest_offsets(workdir: Path) -> None:
    images = write(Path("set"), per_shard=3)
    for row in images.rows.itertuples():
        with tarfile.open(Path("set") / row.shard) as archive:
            member = next(m for m in archive if m.name.startswith(f"{row.id}."))
            assert (member.offset_data, member.size, member.mtime) == (row.offset, row.size, 0)
            assert archive.extractfile(member).read() == FILES[row.id]


def test_equal_images_give_equal_bytes(workdir: Path) -> None:
    write(Path("one")), write(Path("two"))
    assert contents(Path("one")) == contents(Path("two"))


def test_an_unusable_picture_is_a_row_with_a_reason(workdir: Path) -> None:
    images = write(Path("set"), {**FILES, "bad": b"no picture"})
    row = images.rows.set_index("id").loc["bad"]
    assert row["status"] == "unreadable" and "not an image" in row["reason"]
    assert len(images) == 8 and len(images.usable) == 7
    with pytest.raises(ImageSetError, match="bad is unreadable: not an image"):
        images.read("bad")


def test_a_missing_shard_is_named_with_what_to_type(workdir: Path) -> None:
    images = write(Path("set"))
    next(Path("set").glob("*.tar")).unlink()
    with pytest.raises(ImageSetError, match=r"set/00000-\w+\.tar is missing: `dvc checkout"):
        images.read("a-0")


def test_a_changed_byte_and_a_short_shard_are_found(workdir: Path) -> None:
    images = write(Path("set"))
    shard = next(Path("set").glob("*.tar"))
    whole = bytearray(shard.read_bytes())
    whole[int(images.rows["offset"][2]) + 30] ^= 1
    shard.write_bytes(whole)
    with pytest.raises(ImageSetError, match="a-2 has checksum"):
        ImageSet(Path("set")).verify()
    shard.write_bytes(whole[:600])
    with pytest.raises(ImageSetError, match="cut short"):
        ImageSet(Path("set")).read("a-6")


def test_manifests_of_another_shape_are_refused(workdir: Path) -> None:
    write(Path("set"))
    path = Path("set/manifest.parquet")
    table = pq.read_table(path)
    pq.write_table(table.append_column("labell", pa.array([0] * 7)), path)
    with pytest.raises(ManifestError, match="unknown column 'labell'; did you mean 'label'"):
        ImageSet(Path("set"))
    pq.write_table(table.drop_columns(["phash"]), path)
    with pytest.raises(ManifestError, match="column phash is missing"):
        ImageSet(Path("set"))
    path.write_bytes(b"PAR1 cut")
    with pytest.raises(ManifestError, match="is damaged"):
        ImageSet(Path("set"))
    path.unlink()
    with pytest.raises(ManifestError, match="is not there"):
        ImageSet(Path("set"))
    with pytest.raises(ImageSetError, match="nowhere is not there"):
        ImageSet(Path("nowhere"))


def test_a_misspelt_column_and_a_doubled_id_are_refused(workdir: Path) -> None:
    with pytest.raises(ManifestError, match="'lable' is not a manifest column; did you mean 'label'"):
        write_manifest(Path("m.parquet"), [{"id": "a", "lable": 1}])
    write_manifest(Path("m/manifest.parquet"), [{"id": "a"}, {"id": "a"}])
    with pytest.raises(ManifestError, match="the id a stands twice"):
        ImageSet(Path("m"))


def test_a_failed_rewrite_leaves_the_old_set(workdir: Path) -> None:
    old = contents(write(Path("set")).path)
    with pytest.raises(RuntimeError), ImageSetWriter(Path("set"), per_shard=2) as writer:
        for index in range(5):
            writer.add(f"b-{index}", file_bytes(textured(50 + index)))
        raise RuntimeError
    assert contents(Path("set")) == old


def test_a_rewrite_replaces_the_old_shards(workdir: Path) -> None:
    write(Path("set"))
    images = write(Path("set"), {"n": file_bytes(textured(99))})
    assert len(images) == 1 and len(list(Path("set").glob("*.tar"))) == 1
    images.verify()


@pytest.mark.parametrize("killed_after", [0, 2, 3, 5, 7])
def test_a_resumed_set_is_the_undisturbed_one(workdir: Path, killed_after: int) -> None:
    write(Path("whole"), per_shard=3)
    writer = ImageSetWriter(Path("set"), resume="key", per_shard=3)  # never closed: a killed process
    for name, data in list(FILES.items())[:killed_after]:
        writer.add(name, data, label=1, generator="g", group=name)
    with ImageSetWriter(Path("set"), resume="key", per_shard=3) as again:
        assert again.done == killed_after // 3 * 3
        for name, data in list(FILES.items())[again.done :]:
            again.add(name, data, label=1, generator="g", group=name)
    assert contents(Path("set")) == contents(Path("whole"))
    assert not list(Path(".assay/partial").iterdir())


def test_another_key_does_not_resume(workdir: Path) -> None:
    writer = ImageSetWriter(Path("set"), resume="seed 1", per_shard=1)
    writer.add("a", file_bytes(textured(1)))
    assert ImageSetWriter(Path("set"), resume="seed 1", per_shard=1).done == 1
    assert ImageSetWriter(Path("set"), resume="seed 2", per_shard=1).done == 0


def test_a_kill_while_shards_are_put_in_place_is_mended(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(Path("whole"), per_shard=3)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("assets.images.imageset.write_manifest", die)
    with pytest.raises(KeyboardInterrupt):
        write(Path("set"), resume="k", per_shard=3)
    monkeypatch.undo()
    monkeypatch.chdir(workdir)
    with ImageSetWriter(Path("set"), resume="k", per_shard=3) as writer:
        assert writer.done == 7
    assert contents(Path("set")) == contents(Path("whole"))


def test_linking_passes_rows_on_without_copying_pixels(workdir: Path) -> None:
    source = write(Path("set"))
    link_set(source, Path("linked"), source.rows.iloc[:2], generator="other", family="gan")
    linked = ImageSet(Path("linked"))
    assert linked.rows["generator"].tolist() == ["other", "other"]
    assert [linked.read(name) for name in ("a-0", "a-1")] == [FILES["a-0"], FILES["a-1"]]
    shard = linked.rows["shard"][0]
    assert (Path("linked") / shard).stat().st_ino == (Path("set") / shard).stat().st_ino


def test_one_id_in_two_sets_is_refused(workdir: Path) -> None:
    write(Path("one")), write(Path("two"))
    with pytest.raises(ImageSetError, match="a-0 stands in one and in two"):
        open_sets([Path("one"), Path("two")])


def test_numbers_survive_as_integers_with_nulls(workdir: Path) -> None:
    rows = write(Path("set")).rows
    assert rows["jpeg_quality"].tolist()[:2] == [pd.NA, 75] and rows["label"].dtype == pd.Int8Dtype()
