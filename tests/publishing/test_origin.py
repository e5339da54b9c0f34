"""What a base model's own card may say of it, and what is not believed."""

from pathlib import Path

import pytest

from publishing.origin import LARGEST, front_matter, origin_of


def card(path: Path, *lines: str) -> Path:
    text = "\n".join(("---", *lines, "---", "", "# A model", "license: mit"))
    (path / "README.md").write_text(text)
    return path


def test_a_directory_names_its_license_and_languages(tmp_path):
    lines = ("license: other", "license_name: 'qwen research'", "license_link: LICENSE")
    card(tmp_path, *lines, "language:", "- en", "  - zh")
    found = origin_of(str(tmp_path), "qwen")
    assert (found.name, found.id) == ("qwen", None)
    assert (found.license, found.license_name) == ("other", "qwen research")
    assert (found.license_link, found.language) == ("LICENSE", ("en", "zh"))


def test_an_export_of_ours_stands_for_its_base(tmp_path):
    card(tmp_path, "base_model: Qwen/Qwen3-VL-2B", "license: apache-2.0", "tags:", "- earwitness")
    found = origin_of(str(tmp_path), "imitate")
    assert (found.name, found.id, found.license) == ("imitate", "Qwen/Qwen3-VL-2B", "apache-2.0")


def test_another_directory_is_not_its_own_base(tmp_path):
    """A fine-tuned model of somebody else is not what it was tuned from."""
    card(tmp_path, "base_model: Qwen/Qwen3-VL-2B", "tags: [earwitness]")
    assert origin_of(str(tmp_path), "theirs").id is None


def test_a_model_of_the_hub_is_known_by_its_id_whether_or_not_its_card_was_fetched(monkeypatch):
    monkeypatch.setattr("publishing.origin.try_to_load_from_cache", lambda *_: None)
    found = origin_of("Qwen/Qwen2-Audio-7B", "Qwen2-Audio-7B")
    assert (found.name, found.id, found.license) == ("Qwen/Qwen2-Audio-7B",) * 2 + (None,)


def test_what_ships_names_its_license():
    assert origin_of("assets/tiny", "tiny").license == "apache-2.0"


@pytest.mark.parametrize(
    "lines",
    [
        ("license: <script>alert(1)</script>",),
        ("license: !!python/object:os.system",),
        ("license: &a [*a, *a]",),
        ("license:", "- mit", "- gpl"),
        ("license: mit\x1b[2J",),
        ("license_link: javascript:alert(1)",),
        ("nested:", "  license: {mit: 1}"),
    ],
)
def test_what_looks_like_no_license_is_none(tmp_path, lines):
    found = origin_of(str(card(tmp_path, *lines)), "x")
    assert (found.license, found.license_link) == (None, None)


def test_without_front_matter_nothing_is_known(tmp_path):
    assert front_matter(tmp_path / "README.md") == {}
    (tmp_path / "README.md").write_text("license: mit\n")
    assert front_matter(tmp_path / "README.md") == {}
    (tmp_path / "README.md").write_bytes(b"---\nlicense: mit\n---\n\xff")
    assert front_matter(tmp_path / "README.md") == {"license": ("mit",)}


def test_no_card_is_read_further_than_front_matter_reaches(tmp_path):
    long = b"---\nlicense: mit\n" + b"a: b\n" * LARGEST + b"---\n"
    (tmp_path / "README.md").write_bytes(long)
    assert front_matter(tmp_path / "README.md") == {}
