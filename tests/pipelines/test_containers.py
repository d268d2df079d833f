"""How a stage becomes a container: what `meta` says, an environment by list, mounts at the host's own paths."""

import dataclasses
import os
from pathlib import Path

import pytest

from components.core.pseudonyms import forgotten_file, key_file
from pipelines.containers import Container, Mounted, container_of, hand_over, in_bytes
from pipelines.graph import Stage, read_graph
from pipelines.stage import STATE

LABELS = {"medslip.run": "one", "medslip.stage": "pretrain"}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "main/workspaces/one"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config.local").write_text(f"[cache]\n    dir = {tmp_path}/cache\n", encoding="utf-8")
    (folder / "params.yaml").write_text(
        "datasets:\n  a: {root: /archives/a}\n  b: {root: data/phantom/archives/b}\n  c: {root: 's3://bucket/c'}\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("MEDSLIP_PSEUDONYM_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("MEDSLIP_STATE_DIR", str(tmp_path / "kept"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for every stage")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    return folder


def stage(repository: Path, address: str, **meta: object) -> Stage:
    found = read_graph(repository).stages[address]
    return dataclasses.replace(found, meta={**found.meta, **meta})


def container(workspace: Path, of: Stage) -> Container:
    return container_of(of, ("python", "-m", "x"), workspace, workspace.parents[1], LABELS)


def test_meta_says_image_memory_shm_gpu_and_network(workspace: Path, repository: Path) -> None:
    training = container(workspace, stage(repository, "pretrain"))
    assert (training.image, training.memory, training.shm) == ("medslip-train:local", 12 * 2**30, 4 * 2**30)
    assert (training.gpu, training.network) == (True, "host")
    listing = container(workspace, stage(repository, "ingest@mimic_cxr"))
    assert (listing.image, listing.gpu, listing.network, listing.shm) == ("medslip-data:local", False, "none", None)


def test_given_weights_are_mounted_where_they_are_a_folder(workspace: Path, repository: Path) -> None:
    bringing = stage(repository, "initial")
    assert container(workspace, bringing).network == "host"  # the registry may be asked
    params = workspace / "params.yaml"
    written = params.read_text(encoding="utf-8")
    for init, mounted in (("/given/model", True), ("models:/medslip@champion", False), ("null", False)):
        params.write_text(f"{written}pretrain: {{init: '{init}'}}\n".replace("'null'", "null"), encoding="utf-8")
        mounts = {str(one.path) for one in container(workspace, bringing).mounts if one.read_only}
        assert ("/given/model" in mounts) == mounted
        assert not any("models:" in path for path in mounts)


def test_the_environment_is_a_list_and_no_secret_is_in_it(workspace: Path, repository: Path) -> None:
    environment = container(workspace, stage(repository, "pretrain")).environment
    assert environment["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5000"
    assert not {"AWS_SECRET_ACCESS_KEY", "PATH"} & set(environment)
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in str(environment)


def test_an_archive_on_s3_takes_a_network_and_the_files_of_its_keys(
    workspace: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "archives.aws"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(keys))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:7070")
    reading = stage(repository, "ingest@mimic_cxr")
    for item, on_s3 in (("a", False), ("c", True)):
        made = container(workspace, dataclasses.replace(reading, item=item))
        assert made.network == ("host" if on_s3 else "none")
        assert (Mounted(keys, read_only=True) in made.mounts) == on_s3
        assert made.environment.get("AWS_CONFIG_FILE") == (str(keys) if on_s3 else None)
        assert ("AWS_ENDPOINT_URL" in made.environment) == on_s3
        assert "AWS_SECRET_ACCESS_KEY" not in made.environment
    assert container(workspace, stage(repository, "reports")).network == "host"  # one of the archives lies there
    assert container(workspace, stage(repository, "phantom")).network == "none"


def test_mounts_lie_where_they_lie_on_the_host(workspace: Path, repository: Path, tmp_path: Path) -> None:
    made = container(workspace, stage(repository, "ingest@mimic_cxr"))
    main = workspace.parents[1]
    assert set(made.mounts) == {
        Mounted(workspace, read_only=False),
        Mounted(tmp_path / "cache", read_only=False),
        Mounted(main / ".state/dvc", read_only=False),
        Mounted(tmp_path / "kept", read_only=False),
        Mounted(main / ".git", read_only=True),
        Mounted(tmp_path / "key", read_only=True),
        Mounted(Path("/archives/a"), read_only=True),
    }
    assert made.folder == workspace
    owner = workspace.stat()
    assert made.user == (f"{owner.st_uid}:{owner.st_gid}" if owner.st_uid else "1000:1000")
    assert made.labels == LABELS


def test_what_talks_to_mlflow_gets_its_folder_and_an_address_that_it_reaches(
    workspace: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Mounted(workspace.parents[1] / ".state/mlflow", read_only=False)
    training, listing = stage(repository, "pretrain"), stage(repository, "inventory@mimic_cxr")
    assert kept in container(workspace, training).mounts
    assert kept not in container(workspace, listing).mounts
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{kept.path}/mlflow.db")  # MLflow itself sets the default so
    assert kept in container(workspace, training).mounts
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////elsewhere/mlflow.db")
    with pytest.raises(ValueError, match="which a container does not reach: give the http address of a server, or"):
        container(workspace, training)
    container(workspace, listing)  # its launcher logs it


def test_forgotten_patients_are_forgotten_in_the_container_too(workspace: Path, repository: Path) -> None:
    forgotten_file().write_text("0" * 24 + "\n", encoding="ascii")
    made = container(workspace, stage(repository, "inventory@mimic_cxr"))
    assert Mounted(forgotten_file(), read_only=True) in made.mounts


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand files over")
def test_root_hands_over_what_the_stage_writes_and_nothing_else(workspace: Path, repository: Path) -> None:
    for path in (key_file(), forgotten_file()):
        path.write_text("0" * 64, encoding="ascii")
        path.chmod(0o600)
    (workspace / "metrics").mkdir()
    (workspace / "metrics/one.json").symlink_to(workspace / "params.yaml")
    listing = stage(repository, "inventory@mimic_cxr")
    hand_over(listing, container(workspace, listing))
    for path in ("metrics", "metrics/one.json", ".dvc/config.local", str(STATE)):
        assert (workspace / path).lstat().st_uid == 1000
    for path in (workspace, workspace / "params.yaml"):  # git trusts no repository of another
        assert path.stat().st_uid == 0
    assert (workspace.stat().st_gid, workspace.stat().st_mode & 0o070) == (1000, 0o070)
    for path in (key_file(), forgotten_file()):  # lent through the group, never given away
        lent = path.stat()
        assert (lent.st_uid, lent.st_gid, lent.st_mode & 0o777) == (0, 1000, 0o640)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand files over")
def test_what_root_has_made_for_itself_alone_is_read_through_the_group(workspace: Path, repository: Path) -> None:
    key_file().write_text("0" * 64, encoding="ascii")
    code, head = workspace / "pipelines", workspace.parents[1] / ".git/worktrees/one/HEAD"
    for folder in (code, head.parent):
        folder.mkdir(parents=True)
    for file in (head, code / "__main__.py", workspace / "params.yaml"):
        file.touch()
        file.chmod(0o600)
    code.chmod(0o700)
    (code / "away").symlink_to(workspace.parents[2] / "nowhere")
    listing = stage(repository, "inventory@mimic_cxr")
    hand_over(listing, container(workspace, listing))
    for path, mode in ((head, 0o640), (code / "__main__.py", 0o640), (workspace / "params.yaml", 0o640), (code, 0o750)):
        found = path.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, 1000, mode), path


def test_no_key_is_refused(workspace: Path, repository: Path) -> None:
    listing = stage(repository, "inventory@mimic_cxr")
    with pytest.raises(ValueError, match=r"no pseudonym key at .*: make one with `make setup`"):
        hand_over(listing, container(workspace, listing))


def test_a_setting_names_the_images(workspace: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSLIP_IMAGES", "registry.example/medslip/{image}:1.2")
    assert container(workspace, stage(repository, "pretrain")).image == "registry.example/medslip/train:1.2"


@pytest.mark.parametrize(
    ("meta", "sentence"),
    [
        ({"network": "bridge"}, "stages.pretrain.meta.network must be none or host, not 'bridge'"),
        ({"memory": "much"}, "'much' is no size; write such as 512m or 4g"),
    ],
)
def test_meta_that_means_nothing_is_refused(
    workspace: Path, repository: Path, meta: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        container(workspace, stage(repository, "pretrain", **meta))


def test_sizes() -> None:
    assert [in_bytes(size) for size in ("1", "2k", "512m", "4g")] == [1, 2048, 512 * 2**20, 4 * 2**30]
