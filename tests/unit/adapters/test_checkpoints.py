"""Checkpoints in a directory and on a server that speaks S3: incremental, whole or not there, the last few, no wrong octet."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from stream_recon.adapters import checkpoints as module
from stream_recon.adapters.checkpoints import Checkpoints
from stream_recon.errors import CheckpointFailed, ConfigError
from stream_recon.limits import STATE_FORMAT
from stream_recon.ports import Kept
from tests.buckets import SECRET

FAR = 1 << 40
FIRST = {"000001.sst": b"one" * 100, "CURRENT": b"MANIFEST-1\n", "MANIFEST-1": b"1", "000002.log": b""}
SECOND = FIRST | {"000003.sst": b"three" * 1000, "MANIFEST-1": b"1+3"}
THIRD = {"000004.sst": b"merged", "CURRENT": b"MANIFEST-1\n", "MANIFEST-1": b"1+3+4"}

Files = Mapping[str, bytes]


class Place:
    """A location, looked into from outside."""

    def __init__(self, location: str, work: Path) -> None:
        self.location = location
        self.work = work
        self.system, self.base = fs.FileSystem.from_uri(location)
        self._made = 0

    def open(self, keep: int = 3, *, linger: float = 3600.0, log: str = "LOG", prefix: str = "recon") -> Checkpoints:
        return Checkpoints(self.location, prefix, log, keep, linger=linger)

    def snapshot(self, files: Files) -> Path:
        self._made += 1
        path = self.work / f"snapshot-{self._made}"
        path.mkdir()
        for name, data in files.items():
            (path / name).write_bytes(data)
        return path

    def save(self, kept: Checkpoints, files: Files, position: int, home: int = 0) -> int:
        return kept.save(home, self.snapshot(files), position, position * 1000)

    def listed(self, what: str, home: int = 0) -> list[str]:
        selector = fs.FileSelector(f"{self.base}/recon/LOG/{home}/{what}", allow_not_found=True)
        return sorted(i.path for i in self.system.get_file_info(selector) if i.is_file)

    @property
    def positions(self) -> list[int]:
        return [int(path.rsplit("/", 1)[1][:20]) for path in self.listed("manifests")]

    @property
    def files(self) -> list[str]:
        return [path.rsplit("/", 1)[1] for path in self.listed("files")]

    def file(self, data: bytes) -> str:
        return f"{self.base}/recon/LOG/0/files/{hashlib.sha256(data).hexdigest()}"

    def manifest(self, number: int = -1) -> str:
        return self.listed("manifests")[number]

    def read(self, path: str) -> bytes:
        with self.system.open_input_stream(path) as stream:
            return bytes(stream.read())

    def write(self, path: str, data: bytes) -> None:
        with self.system.open_output_stream(path) as stream:
            stream.write(data)

    def rewrite(self, change: Callable[[dict[str, Any]], None]) -> None:
        """The newest manifest becomes another one, whose checksum is right."""
        path = self.manifest()
        body = json.loads(self.read(path))
        change(body)
        data = json.dumps(body).encode()
        self.system.delete_file(path)
        self.write(f"{path.rsplit('-', 1)[0]}-{hashlib.sha256(data).hexdigest()}.json", data)

    def restored(self, kept: Checkpoints, low: int = 1, high: int = FAR, home: int = 0) -> tuple[Kept | None, dict[str, bytes]]:
        into = self.work / "restored"
        found = kept.restore(home, into, low, high)
        files = {p.name: p.read_bytes() for p in into.iterdir()} if into.exists() else {}
        assert (found is None) == (not files)
        return found, files


@pytest.fixture
def place(location: str, tmp_path: Path) -> Place:
    return Place(location, tmp_path)


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level(logging.WARNING, "stream_recon.checkpoints"):
        yield lambda: [r.getMessage() for r in caplog.records]


def names(*files: Files) -> list[str]:
    return sorted({hashlib.sha256(data).hexdigest() for of in files for data in of.values()})


def size(*names: str, of: Files) -> int:
    return sum(len(of[name]) for name in names)


# ---- writing -----------------------------------------------------------------------------------------------------------------


def test_what_was_kept_comes_back(place: Place) -> None:
    kept = place.open()
    assert place.save(kept, FIRST, 10) == sum(map(len, FIRST.values()))
    assert place.restored(place.open()) == (Kept(10, 10_000), FIRST)
    body = json.loads(place.read(place.manifest()))
    assert {name: body[name] for name in body if name != "files"} == {
        "format": 1,
        "state_format": STATE_FORMAT,
        "deployment": "recon",
        "log": "LOG",
        "digest_partition": 0,
        "position": 10,
        "created": 10_000,
    }


def test_the_second_sends_only_what_is_new(place: Place) -> None:
    kept = place.open()
    place.save(kept, FIRST, 10)
    assert place.save(kept, SECOND, 20) == size("000003.sst", "MANIFEST-1", of=SECOND)
    assert place.files == names(FIRST, SECOND)
    assert place.restored(kept) == (Kept(20, 20_000), SECOND)
    assert place.save(place.open(), SECOND | {"MANIFEST-1": b"again"}, 30) == 5, "nor does another worker send it again"


def test_tables_that_did_not_change_are_not_read_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    really = module._sha256

    def measured(path: Path) -> str:
        read.append(path.name)
        return really(path)

    monkeypatch.setattr(module, "_sha256", measured)
    kept, first = place.open(), place.snapshot(FIRST)
    kept.save(0, first, 10, 0)
    second = place.snapshot({})
    for path in first.iterdir():
        (second / path.name).hardlink_to(path)
    read.clear()
    kept.save(0, second, 20, 0)
    assert read == ["000002.log", "CURRENT", "MANIFEST-1"]


def test_digest_partitions_logs_and_deployments_stand_apart(place: Place) -> None:
    place.save(place.open(), FIRST, 10)
    assert place.restored(place.open(), home=1) == (None, {})
    assert place.restored(place.open(log="OTHER")) == (None, {})
    assert place.restored(place.open(prefix="other")) == (None, {})


def test_what_is_there_already_is_not_sent_again(place: Place) -> None:
    place.save(place.open(), SECOND, 20)
    assert place.save(place.open(), FIRST, 20) == 0
    assert place.positions == [20]
    broken_manifest(place)
    place.save(place.open(), FIRST, 20)
    assert place.restored(place.open()) == (Kept(20, 20_000), FIRST)


def test_behind_one_that_is_there_none_is_made(place: Place) -> None:
    place.save(place.open(), SECOND, 20)
    with pytest.raises(CheckpointFailed, match=r"0020-\w+\.json is further than the state of digest partition 0, at 19: another"):
        place.save(place.open(), FIRST, 19)
    assert place.positions == [20]
    assert place.files == names(SECOND)


def test_cut_off_before_its_manifest_it_is_not_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = place.open()
    place.save(kept, FIRST, 10)
    with monkeypatch.context() as patch:
        patch.setattr(module._Shelf, "write", refuse)
        with pytest.raises(CheckpointFailed, match="cannot be written: away"):
            place.save(kept, SECOND, 20)
    assert place.restored(kept) == (Kept(10, 10_000), FIRST)
    assert place.save(kept, SECOND, 20) == 0, "the files are there"
    assert place.restored(kept) == (Kept(20, 20_000), SECOND)


def refuse(*_: object) -> None:
    raise OSError("away\nand a stack of lines")


def test_a_file_that_is_there_by_half_is_sent_again(place: Place) -> None:
    kept = place.open()
    place.save(kept, FIRST, 10)
    place.write(place.file(FIRST["000001.sst"]), b"one")
    assert place.save(kept, SECOND, 20) == size("000001.sst", "000003.sst", "MANIFEST-1", of=SECOND)
    assert place.restored(kept) == (Kept(20, 20_000), SECOND)


# ---- what goes ---------------------------------------------------------------------------------------------------------------


def test_the_last_ones_stay(place: Place) -> None:
    kept = place.open(keep=2, linger=-10)
    for position in range(1, 7):
        place.save(kept, {"000001.sst": b"stays", f"00001{position}.sst": b"%d" % position}, position)
    assert place.positions == [5, 6]
    assert place.files == names({"a": b"stays"}, {"b": b"4"}, {"c": b"5"}, {"d": b"6"}), (
        "files of the one dropped last: a turn later"
    )
    for position in (5, 6):
        found, files = place.restored(kept, high=position)
        assert found == Kept(position, position * 1000)
        assert files["000001.sst"] == b"stays"


def test_new_files_without_a_manifest_are_another_writers(place: Place) -> None:
    """Another worker is about to write its manifest: it finds its files there."""
    place.save(place.open(), FIRST, 10)
    foreign = b"sent by another worker"
    place.write(place.file(foreign), foreign)
    for position, files in ((20, SECOND), (30, THIRD)):
        place.save(place.open(keep=1), files, position)
    assert place.file(foreign) in place.listed("files")
    place.save(place.open(keep=1, linger=-10), THIRD | {"x": b"x"}, 40)
    assert place.file(foreign) not in place.listed("files")


def test_a_writer_whose_files_go_meanwhile_sends_them_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written that names a file which was not seen there."""
    slow, sent = place.open(), []
    really = module._Shelf._send

    def send(self: Any, file: Path, sha256: str) -> None:
        really(self, file, sha256)
        sent.append(file.name)
        if len(sent) == len(SECOND):
            place.system.delete_file(place.file(SECOND["000001.sst"]))

    monkeypatch.setattr(module._Shelf, "_send", send)
    place.save(slow, SECOND, 20)
    assert sent.count("000001.sst") == 2
    assert place.restored(place.open()) == (Kept(20, 20_000), SECOND)


def test_files_that_never_stay_are_no_checkpoint(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Shelf, "_send", lambda *_: None)
    with pytest.raises(CheckpointFailed, match="files that were sent are not there"):
        place.save(place.open(), FIRST, 10)
    assert place.positions == []


def test_a_former_owner_that_is_late_takes_nothing_from_its_heir(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts on files of a checkpoint that the heir drops meanwhile: they stay a turn longer, so both are whole."""
    former, heir = place.open(keep=1), place.open(keep=1)
    place.save(former, FIRST, 10)
    monkeypatch.setattr(module._Shelf, "_listing", aged(names(FIRST)))
    really = module._Shelf.write

    def write(self: Any, *of: Any) -> None:
        monkeypatch.setattr(module._Shelf, "write", really)
        place.save(heir, THIRD, 15)
        assert place.positions == [15]
        really(self, *of)

    monkeypatch.setattr(module._Shelf, "write", write)
    place.save(former, SECOND, 20)
    assert place.restored(heir) == (Kept(20, 20_000), SECOND)
    with pytest.raises(CheckpointFailed, match="further"):
        place.save(heir, THIRD, 17)
    place.save(heir, THIRD | {"x": b"x"}, 30)
    assert place.restored(heir) == (Kept(30, 30_000), THIRD | {"x": b"x"})


def aged(files: list[str]) -> Callable[[Any, str], list[fs.FileInfo]]:
    """Listings in which some files are very old."""
    really = module._Shelf._listing

    def listing(self: Any, directory: str) -> list[fs.FileInfo]:
        found = really(self, directory)
        return [fs.FileInfo(i.path, i.type, mtime_ns=1, size=i.size) if i.base_name in files else i for i in found]

    return listing


def test_beside_a_manifest_that_cannot_be_read_no_file_goes(place: Place) -> None:
    """What it names is not known: it may be that of a later version."""
    kept = place.open(keep=2, linger=-10)
    place.save(kept, FIRST, 10)
    place.rewrite(lambda body: body.update(format=2))
    place.save(kept, SECOND, 20)
    place.save(kept, THIRD, 30)
    assert place.positions == [20, 30]
    assert set(names(FIRST)) <= set(place.files)
    place.save(kept, THIRD | {"x": b"x"}, 40)
    place.save(kept, THIRD | {"x": b"xx"}, 50)
    assert place.positions == [40, 50]
    assert place.files == names(THIRD, {"x": b"x"}, {"x": b"xx"})


def test_what_an_older_version_kept_stays_beside_the_first_of_this_one(place: Place) -> None:
    kept = place.open(keep=2, linger=-10)
    place.save(kept, FIRST, 10)
    place.rewrite(lambda body: body.update(state_format=STATE_FORMAT - 1))
    place.save(kept, SECOND, 20)
    assert place.positions == [10, 20]
    place.save(kept, THIRD, 30)
    assert place.positions == [20, 30]


def test_what_cannot_be_deleted_is_told_and_the_checkpoint_is_there(
    place: Place, monkeypatch: pytest.MonkeyPatch, warned: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(module._Shelf, "tidy", refuse)
    place.save(place.open(), FIRST, 10)
    assert warned() == [f"checkpoints: nothing old can be deleted at {place.location}: away"]
    assert place.positions == [10]


# ---- what is passed over -----------------------------------------------------------------------------------------------------


def flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def broken_file(place: Place) -> None:
    place.write(place.file(SECOND["000003.sst"]), flip(SECOND["000003.sst"]))


def shorter_file(place: Place) -> None:
    place.write(place.file(SECOND["000003.sst"]), SECOND["000003.sst"][:-1])


def no_file(place: Place) -> None:
    place.system.delete_file(place.file(SECOND["000003.sst"]))


def broken_manifest(place: Place) -> None:
    place.write(place.manifest(), place.read(place.manifest()).replace(b'"created": 20000', b'"created": 20001'))


def half_a_manifest(place: Place) -> None:
    place.write(place.manifest(), place.read(place.manifest())[:50])


def no_json(place: Place) -> None:
    path = place.manifest()
    place.system.delete_file(path)
    place.write(f"{path.rsplit('-', 1)[0]}-{hashlib.sha256(b'x').hexdigest()}.json", b"x")


def changed(**fields: object) -> Callable[[Place], None]:
    return lambda place: place.rewrite(lambda body: body.update(fields))


SAY = "another version of stream-recon wrote it; start that version to use it, or let this one fold the digest log"


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (broken_file, "file 000003.sst is broken"),
        (shorter_file, "file 000003.sst is broken: 4999 of 5000 octets"),
        (no_file, ""),
        (broken_manifest, "the manifest is broken: it is not what was written"),
        (half_a_manifest, "the manifest is broken: it is not what was written"),
        (no_json, "the manifest is none"),
        (changed(position="x"), "the manifest is none"),
        (changed(files=[{"name": 1, "size": 1, "sha256": "0" * 64}]), "the manifest is none"),
        (changed(files=[{"name": "x", "size": 1, "sha256": None}]), "the manifest is none"),
        (changed(files=[{"name": "../x", "size": 1, "sha256": "0" * 64}]), "a file has a name that is none"),
        (changed(files=[{"name": "x", "size": 1, "sha256": "../x"}]), "a file has a name that is none"),
        (changed(digest_partition=1), "it belongs to"),
        (changed(log="OTHER"), "it belongs to"),
        (changed(format=2), f"expected checkpoint format 1, got 2: {SAY}"),
        (changed(state_format=STATE_FORMAT - 1), f"expected state format {STATE_FORMAT}, got {STATE_FORMAT - 1}: {SAY}"),
        (changed(state_format=STATE_FORMAT + 1), f"expected state format {STATE_FORMAT}, got {STATE_FORMAT + 1}: {SAY}"),
    ],
)
def test_the_one_before_is_taken(
    place: Place, breaks: Callable[[Place], None], says: str, warned: Callable[[], list[str]]
) -> None:
    kept = place.open()
    place.save(kept, FIRST, 10)
    place.save(kept, SECOND, 20)
    breaks(place)
    assert place.restored(kept) == (Kept(10, 10_000), FIRST)
    (line,) = warned()
    assert line.startswith("checkpoint ")
    assert " is passed over: " in line
    assert says in line


def test_where_none_can_be_used_there_is_none(place: Place, warned: Callable[[], list[str]]) -> None:
    kept = place.open()
    assert place.restored(kept) == (None, {})
    assert warned() == []
    place.save(kept, SECOND, 20)
    broken_file(place)
    assert place.restored(kept) == (None, {})
    assert len(warned()) == 1


def test_only_between_the_bounds(place: Place, warned: Callable[[], list[str]]) -> None:
    kept = place.open()
    for position, files in ((10, FIRST), (20, SECOND), (30, THIRD)):
        place.save(kept, files, position)
    assert place.restored(kept, high=20) == (Kept(20, 20_000), SECOND)
    assert [line.split(": ")[1] for line in warned()] == ["it is ahead of the group's position, 20"]
    assert place.restored(kept, low=11, high=19) == (None, {})
    assert place.restored(kept, low=30, high=30) == (Kept(30, 30_000), THIRD)


def test_what_lay_there_before_is_no_part_of_it(place: Place) -> None:
    place.save(place.open(), FIRST, 10)
    (place.work / "restored").mkdir()
    (place.work / "restored" / "000009.sst").write_bytes(b"of a worker that was killed")
    assert place.restored(place.open()) == (Kept(10, 10_000), FIRST)


# ---- the end -----------------------------------------------------------------------------------------------------------------


def test_what_is_forgotten_is_one_log(place: Place) -> None:
    kept, other = place.open(), place.open(log="OTHER")
    kept.forget()
    for home in (0, 1):
        place.save(kept, FIRST, 10, home)
    place.save(other, FIRST, 10)
    assert kept.place == f"recon/LOG at {place.location}"
    kept.forget()
    found = place.system.get_file_info(fs.FileSelector(f"{place.base}/recon", recursive=True))
    assert {i.path.split("/recon/")[1].split("/")[0] for i in found} == {"OTHER"}
    assert place.restored(other) == (Kept(10, 10_000), FIRST)


def test_what_cannot_be_forgotten_is_told(tmp_path: Path) -> None:
    (tmp_path / "recon").mkdir()
    (tmp_path / "recon" / "LOG").write_bytes(b"no directory")
    with pytest.raises(CheckpointFailed, match=f"{tmp_path} cannot be deleted from: "):
        Checkpoints(str(tmp_path), "recon", "LOG", 3).forget()


# ---- locations ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("location", "says"), [("s3://b?nonsense=1", "'nonsense'"), ("sftp://b/x", "sftp")])
def test_a_location_that_is_none_is_refused(location: str, says: str) -> None:
    with pytest.raises(ConfigError, match=r"checkpoints\.location: .*write a directory") as caught:
        Checkpoints(location, "recon", "LOG", 3)
    assert says in str(caught.value)


def test_a_directory_that_is_none_fails_what_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    away = Checkpoints(str(tmp_path / "file" / "x"), "recon", "LOG", 3)
    with pytest.raises(CheckpointFailed, match=r"cannot be written: .*file/x"):
        away.save(0, Place(str(tmp_path), tmp_path).snapshot(FIRST), 10, 0)


def test_a_bucket_that_is_not_there_fails_and_no_secret_is_told(s3: str, tmp_path: Path) -> None:
    kept = Checkpoints(f"s3://not-there/x{s3}", "recon", "LOG", 3)
    path = Place(str(tmp_path), tmp_path).snapshot(FIRST)
    with pytest.raises(CheckpointFailed, match="cannot be written") as caught:
        kept.save(0, path, 10, 0)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
