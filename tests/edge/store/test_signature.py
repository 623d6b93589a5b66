"""Who signed a bundle's files: every kind of signature, made live; the reference implementation says the same."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from edge.bundle import SIGNATURE, open_bundle
from edge.errors import BundleError, ConfigError
from edge.store.signature import verify, verify_folder
from export.channel.signing import sign
from tests.edge.store import signed
from tests.edge.store.alterations import Alterations, differs
from tests.edge.store.publishing import make_bundle
from tests.edge.store.signed import Workshop, issue
from tests.edge.store.signed_cases import BAD, GOOD, LETTER, key, made_in


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workshop:
    """Who signs."""
    return Workshop(tmp_path_factory.mktemp("shop"))


@pytest.mark.parametrize("kind", GOOD)
def test_what_is_accepted(shop, tmp_path, kind):
    """It says who signed; the reference implementation accepts it, too, but for what its own specification asks for."""
    case = made_in(shop, tmp_path)
    GOOD[kind](case)
    assert re.fullmatch(r"key p\d+\.pem|CN=\w+, certified by CN=root", verify_folder(case.model, case.signers))
    assert (signed.reference(case.model, case.signature, case.signers) is None) == (kind != LETTER)


@pytest.mark.parametrize("kind", BAD)
def test_what_is_refused(shop, tmp_path, kind):
    """The reason names what is wrong; what passes by itself is a certificate's time, and nothing else."""
    case = made_in(shop, tmp_path)
    do, says = BAD[kind]
    do(case)
    with pytest.raises(BundleError, match=says) as raised:
        verify_folder(case.model, case.signers)
    assert raised.value.passes == ("this board's clock" in says)


def test_alterations(shop, tmp_path):
    """Whatever a board accepts of models altered at random, the reference implementation accepts."""
    alterations, accepted = Alterations(tmp_path, shop, seed=24), 0
    for _ in range(200):
        done, case = alterations.next()
        is_accepted, against = differs(case)
        assert against is None, done
        accepted += is_accepted
    assert accepted > 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_alterations(shop, tmp_path, seed):
    """The same with a thousand of them each."""
    alterations = Alterations(tmp_path, shop, seed)
    for _ in range(1000):
        done, case = alterations.next()
        assert differs(case)[1] is None, done


def test_a_single_file(shop, tmp_path):
    """A model may be one file, its signature beside it; the reference names it `.`, the specification by its name."""
    model, signature = tmp_path / "model.bin", tmp_path / "model.sig"
    model.write_bytes(b"weights")
    shop.sign_with_key(model, signature)
    assert verify(model, signature, shop.signers) == "key p256.pem"
    told = signed.statement(tmp_path)
    told["predicate"]["resources"] = [each for each in told["predicate"]["resources"] if each["name"] == "model.bin"]
    signature.write_text(json.dumps(signed.forge(signed.summed(told), shop.keys["p384"])))
    assert verify(model, signature, shop.signers) == "key p384.pem"
    model.write_bytes(b"weight!")
    with pytest.raises(BundleError, match=r"'model\.bin' in .* is not what was signed"):
        verify(model, signature, shop.signers)


def test_a_certificates_time_is_the_boards(shop, tmp_path):
    """What ran out is refused by the board's clock, not as of the day when the certificate was made."""
    case = made_in(shop, tmp_path)
    GOOD["a certificate"](case)
    last_seconds = shop.leaf.certificate.not_valid_after_utc.timestamp()
    assert verify_folder(case.model, case.signers, lambda: last_seconds)
    for clock in (lambda: last_seconds + 1, lambda: 0.0):
        with pytest.raises(BundleError, match="this board's clock says") as raised:
            verify_folder(case.model, case.signers, clock)
        assert raised.value.exit_status == 75


def broken_signers(shop: Workshop, folder: Path) -> dict[str, Path]:
    """Files that do not belong among a board's signers, by what is said of them."""
    rsa_key = rsa.generate_private_key(65537, 2048)
    other_curve = ec.generate_private_key(ec.SECP256K1())
    made = {
        "holds a private key": shop.folder / "p256.key",
        "neither a public key .* is of another kind": shop.public(folder / "rsa", rsa_key),
        "neither a public key .* of another kind": shop.public(folder / "curve", other_curve),
        "a certificate that is no authority's, CN=release": shop.certificate(shop.leaf),
        "neither a public key": folder / "words",
        "neither a public key .* nor certificates": folder / "cut",
        "more than 65536 bytes": folder / "large",
    }
    (folder / "large").write_bytes((shop.signers / "authority.pem").read_bytes() * 1000)
    (folder / "words").write_text("our keys")
    (folder / "cut").write_bytes((shop.signers / "authority.pem").read_bytes()[:100])
    return made


def test_signers_that_cannot_be_used(shop, tmp_path):
    """The operator is told which file it is: a wrong setting, not a bad bundle. What is hidden does not count."""
    case = made_in(shop, tmp_path)
    key("p256")(case)
    for number, (says, file) in enumerate(broken_signers(shop, tmp_path).items()):
        signers = tmp_path / f"signers-{number}"
        signers.mkdir()
        with pytest.raises(ConfigError, match="has 0 files"):
            verify_folder(case.model, signers)
        shutil.copy(shop.signers / "p256.pem", signers)
        (signers / ".hidden").touch()
        assert verify_folder(case.model, signers) == "key p256.pem"
        shutil.copy(file, signers / "wrong.pem")
        with pytest.raises(ConfigError, match=f"wrong.pem.*{says}"):
            verify_folder(case.model, signers)
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file"):
        verify_folder(case.model, tmp_path / "nowhere")


def test_signers_of_one_kind(shop, tmp_path):
    """A board that knows keys alone takes no certificate's word, and the other way round."""
    case = made_in(shop, tmp_path)
    for file, kind, says in (
        ("p256.pem", "a certificate", "has no authority's"),
        ("authority.pem", "a key on P-256", "no key"),
    ):
        signers = tmp_path / file.removesuffix(".pem")
        signers.mkdir()
        shutil.copy(shop.signers / file, signers)
        GOOD[kind](case)
        with pytest.raises(BundleError, match=says):
            verify_folder(case.model, signers)


def test_a_bundle_signed_for_boards(board, published, shop, tmp_path):
    """What `sign` signs, a board installs and says by whom; what an unknown key signed it refuses, keeping nothing."""
    bundle = make_bundle(tmp_path / "made/2", changed=1)
    chain = [shop.certificate(shop.between)]
    sign(bundle, shop.private("leaf", shop.leaf.key), shop.certificate(shop.leaf), chain)
    published.add(bundle, "2")
    board.environment["EDGE_STORE__SIGNERS"] = str(shop.signers)
    told = board.install_here()
    assert (told.status, told.last["signed_by"]) == (0, "CN=release, certified by CN=root")
    sign(bundle, shop.private("other", ec.generate_private_key(ec.SECP256R1())))
    published.add(bundle, "3")
    board.store.remove(told.last["digest"])
    told = board.install_here()
    assert (told.status, told.last["state"]) == (65, "refused")
    assert "none of those in" in told.last["reason"]
    assert board.left() == ["record.json"]


def test_a_bundle_that_is_signed_anew(board, published, shop, tmp_path):
    """As after a certificate ran out: the old signature is in nobody's way, and nothing but the new one is fetched."""
    bundle = make_bundle(tmp_path / "made/2", changed=1)
    sign(bundle, shop.private("other", ec.generate_private_key(ec.SECP256R1())))
    published.add(bundle, "2")
    first = board.install_here().last["digest"]
    board.environment["EDGE_STORE__SIGNERS"] = str(shop.signers)
    assert "none of those in" in board.install_here().last["reason"]
    sign(bundle, shop.private("leaf", shop.leaf.key), shop.certificate(shop.leaf), [shop.certificate(shop.between)])
    published.add(bundle, "3")
    told = board.install_here()
    assert (told.status, told.last["digest"]) == (0, first)
    assert told.last["fetched_bytes"] == (bundle / SIGNATURE).stat().st_size
    assert open_bundle(board.store.bundle(first))


def test_signers_are_read_before_anything_is_fetched(board, published, shop, tmp_path):
    """A wrong setting costs no download."""
    bundle = make_bundle(tmp_path / "made/2", changed=1)
    sign(bundle, shop.private("p256", shop.keys["p256"]))
    published.add(bundle, "2")
    board.environment["EDGE_STORE__SIGNERS"] = str(tmp_path / "nowhere")
    told = board.install_here()
    assert (told.status, [line["state"] for line in told.lines]) == (78, ["refused"])


def test_an_authority_below_the_root(shop, tmp_path):
    """A board may believe the one between alone, which says less than its root; the reference wants the root."""
    case = made_in(shop, tmp_path)
    GOOD["a certificate"](case)
    signers = tmp_path / "signers"
    signers.mkdir()
    shop.certificate(shop.between, signers / "between.pem")
    assert verify_folder(case.model, signers) == "CN=release, certified by CN=between"
    assert signed.reference(case.model, case.signature, signers) is not None
    direct = issue("direct", shop.root)
    case.certified(direct)
    with pytest.raises(BundleError, match="does not lead to an authority"):
        verify_folder(case.model, signers)
