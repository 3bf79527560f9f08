"""What is asked for: the same for every generator, in balance, and refused when it cannot be meant."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from assets.errors import AssayError
from assets.files import sha256_of
from assets.params import PROMPTS, Params, Prompts
from assets.prompting import grammars
from assets.prompting.prompts import Ask, asks
from assets.splitting.groups import SHARED
from flows.planning.checks import check_params
from tests.conftest import REPO
from tests.samples import params

CAPTIONS = [
    {"id": 11, "image_id": 1, "caption": "A dog on a sofa.\n"},
    {"id": 12, "image_id": 1, "caption": "A brown dog."},
    {"id": 13, "image_id": 2, "caption": " Two  zebras "},
    {"id": 14, "image_id": 3, "caption": "A dog on a sofa."},
    {"id": 15, "image_id": 3, "caption": "  "},
]


def captions(entries: Any, of: str = "captions", wrap: Callable[[Any], Any] | None = None) -> Prompts:
    document = wrap(entries) if wrap else {"annotations": entries, "images": []}
    Path("captions.json").write_text(json.dumps(document), "utf-8")
    return Prompts(of=of, file="captions.json", sha256=sha256_of(Path("captions.json")))


def lines(text: str) -> Prompts:
    Path("tags.txt").write_text(text, "utf-8")
    return Prompts(of="lines", file="tags.txt", sha256=sha256_of(Path("tags.txt")))


def every_kind() -> list[Prompts]:
    made = [captions(CAPTIONS), captions(CAPTIONS, "imaginet-photos"), lines("1girl, solo\n1boy\n")]
    made += [Prompts(of=kind) for kind in ("imagenet", "imaginet-paintings", "imaginet-faces")]
    assert {prompts.of for prompts in made} == set(PROMPTS)
    return made


def test_more_images_ask_for_what_fewer_did_and_some_more(workdir: Path) -> None:
    for prompts in every_kind():
        few, many = asks(prompts, 13, 1, workdir), asks(prompts, 1300, 1, workdir)
        assert len(few) == 13 and len(many) == 1300
        assert list(few) == list(many)[:13] == many[:13] == [many[number] for number in range(13)]
        assert many[-1] == many[1299]
        with pytest.raises(IndexError):
            few[13]


def test_another_seed_is_another_choice(workdir: Path) -> None:
    longer = "\n".join(f"tag{number}" for number in range(50))
    for prompts in [*(kind for kind in every_kind() if kind.of != "lines"), lines(longer)]:
        one, other = list(asks(prompts, 40, 1, workdir)), list(asks(prompts, 40, 2, workdir))
        assert (one == other) == (prompts.of == "imagenet")


def test_nothing_asked_for(workdir: Path) -> None:
    assert list(asks(None, 3, 1, workdir)) == [Ask()] * 3


def test_every_prefix_of_imagenet_is_balanced(workdir: Path) -> None:
    found = asks(Prompts(of="imagenet"), 3456, 1, workdir)
    for length in (1, 999, 1000, 2500, 3456):
        counts = Counter(ask.class_index for ask in found[:length])
        assert max(counts.values()) - min(counts.values()) <= 1 and len(counts) == min(length, 1000)
    assert found[0] == Ask("photo of tench", None, 0, "tench", None)
    assert found[1999] == Ask("photo of toilet tissue", None, 999, "toilet tissue", None)


def test_some_classes_and_another_sentence(workdir: Path) -> None:
    prompts = Prompts(of="imagenet", classes=(517, 3), template="{class}, a {class}")
    assert asks(prompts, 3, 1, workdir)[:] == [
        Ask("crane, a crane", None, 517, "crane"),
        Ask("tiger shark, a tiger shark", None, 3, "tiger shark"),
        Ask("crane, a crane", None, 517, "crane"),
    ]


def test_captions_come_in_an_order_of_their_own_and_then_again(workdir: Path) -> None:
    found = [ask.prompt for ask in asks(captions(CAPTIONS), 8, 1, workdir)]
    assert Counter(found) == {"A dog on a sofa.": 4, "A brown dog.": 2, "Two zebras": 2}
    assert found[:4] == found[4:]
    assert [ask.prompt for ask in asks(captions(CAPTIONS[::-1]), 8, 1, workdir)] == found
    more = [*CAPTIONS, {"id": 99, "image_id": 9, "caption": "A late addition."}]
    longer = [ask.prompt for ask in asks(captions(more), 5, 1, workdir)]
    assert [prompt for prompt in longer if prompt != "A late addition."] == found[:4]


def test_the_same_words_are_one_group_with_and_without_a_suffix(workdir: Path) -> None:
    plain = asks(captions(CAPTIONS), 4, 1, workdir)
    photos = asks(captions(CAPTIONS, "imaginet-photos"), 4, 1, workdir)
    assert [ask.group for ask in plain] == [ask.group for ask in photos]
    assert len({ask.group for ask in plain}) == len({ask.prompt for ask in plain}) == 3
    assert all(str(ask.group).startswith(SHARED) for ask in plain)
    for bare, whole in zip(plain, photos, strict=True):
        assert whole.prompt == f"{bare.prompt} 8k photo, high quality, detailed photograph, detailed faces"
        assert whole.negative_prompt == grammars.PHOTO_NEGATIVE and bare.negative_prompt is None


def test_captions_without_ids(workdir: Path) -> None:
    bare = [{key: entry[key] for key in ("image_id", "caption")} for entry in CAPTIONS]
    assert Counter(ask.prompt for ask in asks(captions(bare), 4, 1, workdir))["A dog on a sofa."] == 2


def test_a_prompt_a_line(workdir: Path) -> None:
    text = "\ufeff1girl, solo,  long hair\r\n\r\n  1boy \n1boy\n"
    found = asks(lines(text), 4, 1, workdir)
    assert Counter(ask.prompt for ask in found) == {"1girl, solo, long hair": 2, "1boy": 2}
    assert len({ask.group for ask in found}) == 2
    asked = [ask.prompt for ask in asks(lines(text + "no humans\n"), 3, 1, workdir)]
    assert [prompt for prompt in asked if prompt != "no humans"] == [ask.prompt for ask in found[:2]]


def test_paintings_use_every_word_of_the_paper(workdir: Path) -> None:
    found = list(asks(Prompts(of="imaginet-paintings"), 1500, 1, workdir))
    assert list(map(len, (grammars.TECHNIQUES, grammars.STYLES, grammars.SUBJECTS))) == [5, 40, 29]
    possible = {
        f"Create a {one} painting in the style of {two} featuring {three} art, painting, professional art, "
        "detailed": (one, two, three)
        for one in grammars.TECHNIQUES
        for two in grammars.STYLES
        for three in grammars.SUBJECTS
    }
    chosen = [possible[str(ask.prompt)] for ask in found]
    assert len(set(chosen)) > 1000
    for place, words in enumerate((grammars.TECHNIQUES, grammars.STYLES, grammars.SUBJECTS)):
        used = Counter(choice[place] for choice in chosen)
        assert set(used) == set(words) and max(used.values()) < 3 * len(found) / len(words)
    assert {ask.negative_prompt for ask in found} == {grammars.PAINTING_NEGATIVE}
    assert "high quaility photograph, professional prography" in grammars.PAINTING_NEGATIVE


def test_faces_of_babies_have_only_gender_and_skin(workdir: Path) -> None:
    found = [str(ask.prompt) for ask in asks(Prompts(of="imaginet-faces"), 2000, 1, workdir)]
    babies = {prompt for prompt in found if " of baby " in prompt}
    suffix = "8k photo, high quality, detailed photograph, detailed faces"
    assert babies == {
        f"a professional photo portrait of baby {gender} looking at the camera with {skin} skin {suffix}"
        for gender in grammars.GENDERS
        for skin in grammars.SKINS
    }
    others = [prompt for prompt in found if prompt not in babies]
    assert 0.7 < len(others) / len(found) < 0.8
    for words in (grammars.AGES[1:], grammars.SOMEWHERE, grammars.EYE_COLORS, grammars.EYES, grammars.MOUTHS):
        assert all(sum(f" {word}" in prompt for word in words) >= 1 for prompt in others)
        assert all(any(f" {word}" in prompt for prompt in others) for word in words)
    assert all(prompt.endswith(suffix) for prompt in found)
    assert "immature, b&w, frame" in str(asks(Prompts(of="imaginet-faces"), 1, 1, workdir)[0].negative_prompt)


@pytest.mark.parametrize(
    ("entries", "wrap", "message"),
    [
        ([], lambda entries: entries, "captions.json has no list 'annotations': .*write `of: lines`"),
        ([], lambda entries: {"annotations": {}}, "captions.json has no list 'annotations'"),
        ([], None, "captions.json holds no prompts: every caption or line in it is empty"),
        ([{"id": 1, "caption": " \n"}], None, "captions.json holds no prompts"),
        ([{"id": 1, "text": "x"}], None, r"captions.json: annotations\[0\] has no 'caption'"),
        ([{"caption": "x"}], None, r"annotations\[0\] has neither 'id' nor 'image_id'"),
        ([{"id": 1, "caption": "x \ud83d"}], None, r"annotations\[0\] holds half a character"),
        (
            [{"id": 1, "caption": "x"}, {"id": 1, "caption": "y"}],
            None,
            "captions.json: the caption id 1 stands twice, with different captions",
        ),
    ],
)
def test_captions_that_cannot_be_read(
    workdir: Path, entries: Any, wrap: Callable[[Any], Any] | None, message: str
) -> None:
    with pytest.raises(AssayError, match=message):
        asks(captions(entries, wrap=wrap), 1, 1, workdir)


def test_a_file_that_is_no_text(workdir: Path) -> None:
    Path("x").write_bytes(b"caf\xe9")
    with pytest.raises(AssayError, match="x is not UTF-8: byte 3 cannot be read"):
        asks(Prompts(of="lines", file="x", sha256=sha256_of(Path("x"))), 1, 1, workdir)
    Path("x").write_text('{"annotations": [')
    with pytest.raises(AssayError, match=r"x is not JSON: .*line 1 column"):
        asks(Prompts(of="captions", file="x", sha256=sha256_of(Path("x"))), 1, 1, workdir)


def test_the_hash_ties_the_file_to_the_parameters(workdir: Path) -> None:
    good = lines("one\ntwo\n")
    unhashed = Prompts(of="lines", file="tags.txt")
    with pytest.raises(AssayError, match=r"prompts.sha256 is missing:.*Add this line") as missing:
        asks(unhashed, 1, 1, workdir)
    assert f"\n  sha256: {good.sha256}" in str(missing.value)
    Path("tags.txt").write_text("one\nthree\n")
    with pytest.raises(AssayError, match=r"tags.txt is not the file that prompts.sha256 names") as changed:
        asks(good, 1, 1, workdir)
    pasted = str(changed.value).rpartition("sha256: ")[2]
    assert len(asks(Prompts(of="lines", file="tags.txt", sha256=pasted), 2, 1, workdir)) == 2


def drawn(**prompts: Any) -> Params:
    own = {"family": "gan", "released": "2020-01", "from": "artifacts/fit/m", "count": 3}
    return params(fit={"m": {"kind": "dcgan"}}, generators={"fake": {**own, "prompts": prompts}})


def test_a_run_is_refused_before_it_starts(workdir: Path) -> None:
    check_params(drawn(of="imagenet"))
    with pytest.raises(AssayError, match=r"generators.fake.prompts.file: tags.txt is not there \(looked for"):
        check_params(drawn(of="lines", file="tags.txt"))
    good = lines("one\n")
    with pytest.raises(AssayError, match=rf"(?s)fake.prompts.sha256 is missing.*{good.sha256}"):
        check_params(drawn(of="lines", file="tags.txt"))
    check_params(drawn(of="lines", file="tags.txt", sha256=good.sha256))
    Path("elsewhere").mkdir()
    with pytest.raises(AssayError, match=r"tags.txt is not there"):
        check_params(drawn(of="lines", file="tags.txt", sha256=good.sha256), Path("elsewhere"))


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({"of": "imagnet"}, "generators.fake.prompts.of is 'imagnet'"),
        ({"of": "captions"}, "generators.fake.prompts: 'of: captions' needs a 'file'"),
        (
            {"of": "imagenet", "file": "x"},
            "'of: imagenet' reads no file; .*captions, lines or imaginet-photos",
        ),
        ({"of": "imaginet-faces", "sha256": "0" * 64}, "'of: imaginet-faces' reads no file"),
        ({"of": "lines", "file": "x", "sha256": "abc"}, "generators.fake.prompts.sha256 is 'abc'"),
        ({"of": "lines", "file": "x", "classes": [1]}, "'of: lines' has no 'classes' or 'template'"),
        ({"of": "imaginet-faces", "template": "a {class}"}, "has no 'classes' or 'template'"),
        ({"of": "imagenet", "template": "photo of [class]"}, r"'photo of \[class\]' lacks \{class\}"),
        ({"of": "imagenet", "classes": [5, 1000]}, "ImageNet-1k has no class 1000: its classes are 0 to 999"),
        ({"of": "imagenet", "classes": [-1]}, "ImageNet-1k has no class -1"),
        ({"of": "imagenet", "classes": []}, "'classes' must name at least one class"),
        ({"of": "imagenet", "classes": [1, 1]}, "and none twice"),
        ({"of": "imagenet", "clases": [1]}, "generators.fake.prompts.clases is not a .*mean 'classes'"),
    ],
)
def test_prompts_that_cannot_be_meant(prompts: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        drawn(**prompts)


def test_an_imported_generator_is_asked_for_nothing() -> None:
    own = {"from": "data/fake", "family": "gan", "released": "2020-01", "prompts": {"of": "imagenet"}}
    with pytest.raises(AssayError, match=r"generators.fake: an imported generator takes no 'prompts'"):
        params(generators={"fake": own})


def test_planning_prompts_loads_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from assets.prompting.prompts import asks; "
        "from assets.params import Prompts; asks(Prompts(of='imagenet'), 9, 1, Path())[8]; "
        "assert not {'torch', 'timm'} & set(sys.modules)"
    )
    assert run([sys.executable, "-c", code], cwd=REPO).returncode == 0
