# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    CollectionError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    load_authority,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller_options import (
    file_not_found,
    require_readable,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import parse_subject
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.profile import convert_profile
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    parse_certificate_spec,
)

from tests.support.fake_module import one_line
from tests.support.pki import Ca, options

NAMES = {
    "ca_path": "kube_scheduler_ca_cert",
    "ca_privatekey_path": "kube_scheduler_ca_key",
    "subject": "kube_scheduler_subject",
    "valid_for": "kube_scheduler_cert_valid_for",
}


@pytest.mark.parametrize(
    ("location", "option", "line", "caller_line"),
    [
        ("", "", "no", "no"),
        ("ca_path", "ca_path", "ca_path: no", "kube_scheduler_ca_cert: no"),
        ("subject.CN", "subject", "subject.CN: no", "kube_scheduler_subject.CN: no"),
        ("names[0].CN", "names", "names[0].CN: no", "names[0].CN: no"),
    ],
)
def test_error_with_a_location_names_its_option(
    location: str, option: str, line: str, caller_line: str
) -> None:
    error = CollectionError("no", option=location)
    assert (error.option, error.location) == (option, location)
    assert (str(error), error.format_for(NAMES)) == (line, caller_line)


RAISED: dict[str, tuple[Any, str]] = {
    "no CA": (lambda ca: load_authority("/nonexistent", "/x", None), "ca_path"),
    "no CA key": (
        lambda ca: load_authority(str(ca.path), "/nonexistent", None),
        "ca_privatekey_path",
    ),
    "not found": (lambda ca: require_readable("ca_path", "ca.pem", nowhere), "ca_path"),
    "lifetime": (
        lambda ca: parse_certificate_spec(options(subject={"CN": "x"}, valid_for="1y")),
        "valid_for",
    ),
    "attribute": (lambda ca: parse_subject({"CN": ""}, []), "subject"),
    "usage": (lambda ca: parse_certificate_spec(options(key_usage=["x"])), "key_usage"),
    "profile's field": (
        lambda ca: convert_profile({"usages": ["x"]}, "profile 'p' of 'f'"),
        "",
    ),
}


def nowhere(option: str, path: str) -> str:
    raise file_not_found(option, path)


@pytest.mark.parametrize("case", RAISED)
def test_certificate_error_names_its_option(tmp_path: Path, case: str) -> None:
    action, option = RAISED[case]
    with pytest.raises(X509Error) as caught:
        action(Ca(tmp_path))
    error = caught.value
    assert error.option == option
    assert one_line(error) == (f"{error.location}: {error.message}" if option else error.message)
    if option:
        assert error.format_for(NAMES).startswith(NAMES.get(option, option))
        assert option not in error.message.partition(":")[0]
