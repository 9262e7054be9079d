"""What the broker is made of: found, fetched once, or asked for in words."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools.kafka import fetch
from tools.kafka.fetch import BrokerError, jars, java
from tools.kafka.trust import trusting

CERTIFICATES = [
    """\
-----BEGIN CERTIFICATE-----
MIIBMjCB5aADAgECAhQv+3cph6XXL7Au7lPaCAmm5N+TkzAFBgMrZXAwDjEMMAoG
A1UEAwwDb25lMCAXDTI2MTEyMTE0MTMzNloYDzIxMjYxMDI4MTQxMzM2WjAOMQww
CgYDVQQDDANvbmUwKjAFBgMrZXADIQBL7dGk+E33s7LtOUG51mtidSxcjr4pcxam
r2V9o3jOkqNTMFEwHQYDVR0OBBYEFK/ZHlVRjeNOHiwetRccxBi0M4+jMB8GA1Ud
IwQYMBaAFK/ZHlVRjeNOHiwetRccxBi0M4+jMA8GA1UdEwEB/wQFMAMBAf8wBQYD
K2VwA0EA0XZ4pGNigqqliBUYoLZ6m/ba5pgPZWtuVkrU6S2KxHFce/RSLEW/9//r
NxOtUTViW27qB90veFG3XhWorFsFDg==
-----END CERTIFICATE-----
""",
    """\
-----BEGIN CERTIFICATE-----
MIIBMjCB5aADAgECAhQL9WXCVg5UmydPZ+gvVZbfb1ZXMTAFBgMrZXAwDjEMMAoG
A1UEAwwDdHdvMCAXDTI2MTEyMTE0MTMzNloYDzIxMjYxMDI4MTQxMzM2WjAOMQww
CgYDVQQDDAN0d28wKjAFBgMrZXADIQDDxpbEI5Yr+EzLOyRM8yYemJGmuWcivbKl
u+41IWh1AaNTMFEwHQYDVR0OBBYEFFHYz982nzVHmXSugK1f+LI5Wa5YMB8GA1Ud
IwQYMBaAFFHYz982nzVHmXSugK1f+LI5Wa5YMA8GA1UdEwEB/wQFMAMBAf8wBQYD
K2VwA0EAHVoIkNGl8sTPfyr+pVwI3kDP7zTNf+fvCJeyYO43Z6fCGlWgy71IYXjh
J0V6FYHR0IFb5h4kwu3sLXCj+1PiDw==
-----END CERTIFICATE-----
""",
]
"""Of nobody, signed by themselves."""


def program(path: Path, *lines: str) -> Path:
    """A shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    path.chmod(0o755)
    return path


def a_java(home: Path, version: str) -> Path:
    settings = [f"echo 'java.home = {home}' >&2", f"echo 'java.specification.version = {version}' >&2"]
    return program(home / "bin" / "java", *settings)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing is installed or fetched; its PATH is the directory returned."""
    monkeypatch.setattr(fetch, "HOME", tmp_path / ".broker")
    monkeypatch.setattr(fetch, "DEBIAN", tmp_path / "no-debian")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path / "bin"


def test_java_home_goes_before_path(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_java(tmp_path / "other", "21")
    bare.mkdir()
    (bare / "java").symlink_to(tmp_path / "other" / "bin" / "java")
    assert java() == tmp_path / "other" / "bin" / "java", "the real one, not the link"
    monkeypatch.setenv("JAVA_HOME", str(a_java(tmp_path / "home", "17").parents[1]))
    assert java() == tmp_path / "home" / "bin" / "java"


@pytest.mark.parametrize("version", ["1.8", "11", "16"])
def test_an_old_java_is_passed_over(
    version: str, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(a_java(tmp_path / "home", version).parents[1]))
    bare.mkdir()
    (bare / "java").symlink_to(a_java(tmp_path / "new", "25"))
    assert java() == tmp_path / "new" / "bin" / "java"
    assert "looking further" in capsys.readouterr().err


def test_without_java_and_without_an_index_it_is_said_what_to_install(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(BrokerError, match="Install Java"):
        java()


def test_without_maven_it_is_said_what_to_install(bare: Path) -> None:
    with pytest.raises(BrokerError, match=r"no mvn on PATH.*\n.*apt-get install maven"):
        jars()


def test_what_failed_halfway_is_fetched_anew_and_what_is_whole_is_kept(bare: Path, tmp_path: Path) -> None:
    a_java(tmp_path / "home", "17")
    place = tmp_path / ".broker" / "jars"
    bare.mkdir()
    (bare / "java").symlink_to(tmp_path / "home" / "bin" / "java")
    program(bare / "mvn", f"/bin/mkdir -p {place}", f": > {place}/half.jar", "echo no such host", "exit 1")
    with pytest.raises(BrokerError, match=r"settings\.xml(?s:.*)no such host(?s:.*)exit code 1"):
        jars()
    program(bare / "mvn", f"/bin/mkdir -p {place}", f'echo "$JAVA_HOME" > {place}/kafka.jar')
    assert jars() == place
    assert not (place / "half.jar").exists()
    assert (place / "kafka.jar").read_text(encoding="utf-8").strip() == str(tmp_path / "home"), (
        "Maven runs with the Java we chose"
    )
    program(bare / "mvn", "exit 1")
    assert jars() == place


def test_maven_is_run_again_with_what_the_machine_trusts(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.mkdir()
    (bare / "java").symlink_to(a_java(tmp_path / "home", "17"))
    monkeypatch.setenv("MAVEN_OPTS", "-Dmine=1")
    place, store = tmp_path / ".broker" / "jars", tmp_path / ".broker" / "authorities.jks"
    refuse = "echo PKIX path building failed; exit 1"
    program(bare / "mvn", f"[ -e {store} ] || {{ {refuse}; }}", f"/bin/mkdir -p {place}", f'echo "$MAVEN_OPTS" > {place}/said')
    said = (jars() / "said").read_text(encoding="utf-8").split()
    assert said == [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStoreType=JKS", "-Dmine=1"]


def test_java_reads_the_store_of_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(
        "Two, and one of them twice\n" + CERTIFICATES[0] + "and\n" + CERTIFICATES[1] + CERTIFICATES[0], encoding="utf-8"
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    store = tmp_path / "store.jks"
    trusting(store)
    command = [str(java().parent / "keytool"), "-list", "-keystore", str(store), "-storepass", "changeit"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert listed.count("trustedCertEntry") == 2


def test_maven_is_installed_where_that_is_allowed(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "DEBIAN", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    bare.mkdir()
    (bare / "env").symlink_to(shutil.which("env", path="/usr/bin:/bin") or "")
    a_java(tmp_path / "home", "17")
    # As on a fresh machine: no package lists yet; Maven's package brings a Java.
    program(
        bare / "apt-get",
        f'echo "$*" >> {tmp_path}/asked',
        f'[ "$2" = update ] && : > {tmp_path}/updated && exit 0',
        f"[ -e {tmp_path}/updated ] || exit 100",
        f"/bin/ln -s {tmp_path}/home/bin/java {bare}/java",
        f"/bin/ln -s {program(tmp_path / 'mvn', f'/bin/mkdir -p {tmp_path}/.broker/jars')} {bare}/mvn",
    )
    assert jars() == tmp_path / ".broker" / "jars"
    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert [line.split()[1] for line in asked] == ["install", "update", "install"]
    assert all("--no-install-recommends maven" in line for line in asked if "install" in line)


def test_who_may_not_install_is_told_what_to_install(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "DEBIAN", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    program(bare / "apt-get", "exit 0")
    program(bare / "sudo", "echo a password is required", "exit 1")
    with pytest.raises(BrokerError, match="no mvn on PATH"):
        jars()


def test_one_fetches_and_the_others_wait(bare: Path, tmp_path: Path) -> None:
    a_java(tmp_path / "home", "17")
    bare.mkdir()
    (bare / "java").symlink_to(tmp_path / "home" / "bin" / "java")
    place = tmp_path / ".broker" / "jars"
    program(bare / "mvn", f"echo run >> {tmp_path}/runs", f"/bin/mkdir -p {place}")
    with ThreadPoolExecutor(4) as pool:
        assert {future.result() for future in [pool.submit(jars) for _ in range(4)]} == {place}
    assert (tmp_path / "runs").read_text(encoding="utf-8") == "run\n"
