# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MissingError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    parse_certificates,
    read_fields,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller import (
    prepare_task,
    sign_request,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller_options import (
    file_not_found,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.request import create_request

from tests.support.fake_module import one_line
from tests.support.pki import SCHEDULER, Ca, spare, write_profiles


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return Ca(tmp_path)


def nowhere(option: str, path: str) -> str:
    raise file_not_found(option, path)


def task(ca: Ca, **given: Any) -> dict[str, Any]:
    return {
        "path": "/x/s.pem",
        "privatekey_path": "/x/s-key.pem",
        "privatekey_type": "ECC",
        "ca_on": "controller",
        **SCHEDULER,
        **ca.options,
        **given,
    }


def test_target_gets_plain_options_and_the_ca_certificate(ca: Ca) -> None:
    config = write_profiles(ca.path.parent)
    prepared = prepare_task(
        task(ca, ca_config=config, profile="kubernetes", not_after_policy="clamp", backdate="1m"),
        nowhere,
    )
    assert set(prepared.arguments) == {
        *(
            "path",
            "privatekey_path",
            "privatekey_type",
            "ca_on",
            "not_after_policy",
            "_ca_certificate",
        ),
        *(
            "subject",
            "subject_alt_name",
            "backdate",
            "valid_for",
            "key_usage",
            "extended_key_usage",
        ),
    }
    assert (prepared.arguments["valid_for"], prepared.arguments["backdate"]) == ("87600h", "1m")
    assert prepared.arguments["_ca_certificate"].encode() == ca.path.read_bytes()
    assert str(ca.path.parent) not in json.dumps(prepared.arguments)
    assert prepared.spec.subject == (
        ("O", "system:kube-scheduler"),
        ("CN", "system:kube-scheduler"),
    )


def test_request_is_signed_with_the_content_of_the_task(ca: Ca) -> None:
    prepared = prepare_task(task(ca), nowhere)
    second = sign_request(prepared, create_request(spare("ECC")).decode())
    (signed,) = parse_certificates(second.pop("_certificate").encode())
    assert second == prepared.arguments
    facts = read_fields(signed) if signed else None
    assert facts is not None
    assert (facts["subject"], facts["issuer"]) == (SCHEDULER["subject"], {"CN": "kubernetes"})


@pytest.mark.parametrize(
    "given", [{}, {"ca_privatekey_path": None}, {"ca_privatekey_path": "/nonexistent"}]
)
def test_preparation_without_the_ca_key_is_otherwise_equal(ca: Ca, given: dict[str, Any]) -> None:
    with_key = prepare_task(task(ca), nowhere)
    ca.key_path.unlink()
    without = prepare_task(task(ca, **given), nowhere, need_key=False)
    assert without.arguments == with_key.arguments
    assert (without.authority.certificate, without.authority.private) == (
        with_key.authority.certificate,
        None,
    )
    assert without.spec == with_key.spec
    leaf = Ca(ca.path.parent, is_ca=False)
    with pytest.raises(X509Error, match="is not a CA"):
        prepare_task(task(leaf), nowhere, need_key=False)


def test_key_selects_one_of_several_cas(ca: Ca) -> None:
    renewed = Ca(ca.path.parent, name="renewed", valid_for="90000h")
    other = Ca(ca.path.parent, name="other", key=spare("ECC", number=2))
    content = ca.path.read_bytes() + renewed.path.read_bytes()
    ca.path.write_bytes(content)
    assert (
        prepare_task(task(ca), nowhere, need_key=False).authority.certificate == renewed.certificate
    )
    ca.path.write_bytes(content + other.path.read_bytes())
    with_key = prepare_task(task(ca), nowhere)
    without = prepare_task(task(ca), nowhere, need_key=False)
    assert with_key.authority.certificate == renewed.certificate
    assert without.arguments == with_key.arguments
    assert without.authority == (renewed.certificate, None)
    ca.key_path.unlink()
    with pytest.raises(X509Error, match=r"ca_path: .* contains several CAs") as caught:
        prepare_task(task(ca), nowhere, need_key=False)
    one_line(caught.value)


def test_relative_path_is_found_or_rejected(ca: Ca) -> None:
    asked = []

    def find(option: str, path: str) -> str:
        asked.append((option, path))
        return str(ca.path.parent / path)

    prepare_task(task(ca, ca_path="ca.pem", ca_privatekey_path="ca-key.pem"), find)
    assert asked == [("ca_path", "ca.pem"), ("ca_privatekey_path", "ca-key.pem")]
    with pytest.raises(X509Error) as caught:
        prepare_task(task(ca, ca_path="ca.pem"), nowhere)
    assert (
        str(caught.value)
        == "ca_path: 'ca.pem' is in no files directory of the controller; set the full path"
    )


def test_faults_are_errors(ca: Ca) -> None:
    with pytest.raises(X509Error, match="_certificate is not an option"):
        prepare_task(task(ca, _certificate="x"), nowhere)
    with pytest.raises(X509Error, match=r"ca_path: is not set.* certificate on the controller"):
        prepare_task(task(ca, ca_path=None), nowhere, need_key=False)
    with pytest.raises(X509Error, match="ca_privatekey_path"):
        prepare_task(task(ca, ca_privatekey_path=None), nowhere)
    with pytest.raises(MissingError, match="'/nonexistent' does not exist"):
        prepare_task(task(ca, ca_path="/nonexistent"), nowhere, need_key=False)
