# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare the verdicts about chains with those of Go, which Kubernetes uses."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import chains
from tests.support.chain_cases import CASES, Case, leaf, middle, root
from tests.support.pki import NOW

HERE = Path(__file__).parent
RANDOM_CHAINS = 400
# Go 1.24 rejects RSA keys of less than 1024 bits, and Go 1.25 invalid IPv6 addresses in URIs.
MIN_GO = (1, 25)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the program that reports the verdicts of Go. Without Go, the test fails."""
    version = subprocess.run(["go", "version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"go([0-9]+)[.]([0-9]+)", version)
    assert found, version
    if (int(found[1]), int(found[2])) < MIN_GO:
        pytest.skip(f"the cases state the verdicts of Go 1.{MIN_GO[1]} or newer, not of {version}")
    folder = tmp_path_factory.mktemp("go")
    # Without the version in a module, new versions of Go have the behavior of Go 1.20.
    (folder / "go.mod").write_text(f"module verify\n\ngo {found[1]}.{found[2]}\n")
    shutil.copy(HERE / "verify/main.go", folder)
    path = folder / "verify"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GODEBUG": ""}
    subprocess.run(["go", "build", "-o", str(path), "."], cwd=folder, env=environment, check=True)
    return str(path)


def ask_go(program: str, cases: Sequence[Case]) -> list[str]:
    """Return the error of Go for each chain; "" for an accepted chain."""

    def encode(entity: chains.Entity) -> str:
        return base64.b64encode(entity.encoded).decode()

    lines = [
        json.dumps(
            {
                "Leaf": encode(case.leaf),
                "Intermediates": [encode(entry) for entry in case.intermediates],
                "Anchors": [encode(entry) for entry in case.anchors],
                "Now": int(NOW.timestamp()),
            }
        )
        for case in cases
    ]
    done = subprocess.run(
        [program],
        input="\n".join(lines) + "\n",
        text=True,
        capture_output=True,
        check=True,
        env={**os.environ, "GODEBUG": ""},
    )
    errors = done.stdout.split("\n")[:-1]
    assert len(errors) == len(cases)
    return errors


def test_verdicts_of_the_cases_are_those_of_go(program: str) -> None:
    built = {title: verdict.build() for title, verdict in CASES.items()}
    errors = dict(zip(built, ask_go(program, list(built.values()))))
    wrong = {
        title: errors[title] for title in CASES if CASES[title].accepted == bool(errors[title])
    }
    assert wrong == {}


def test_no_case_is_laxer_than_go_and_each_stricter_one_has_a_reason(program: str) -> None:
    built = {title: verdict.build() for title, verdict in CASES.items()}
    errors = dict(zip(built, ask_go(program, list(built.values()))))
    ours = {title: case.decide(NOW) for title, case in built.items()}
    assert [title for title in CASES if not ours[title] and errors[title]] == []
    stricter = {title for title in CASES if ours[title] and not errors[title]}
    assert stricter == {title for title in CASES if CASES[title].stricter}


DOMAINS = ("example.com", ".example.com", "m1.example.com", "other.example", "", "M1.Example.com")
LIMITS = (
    *(f"DNS:{domain}" for domain in DOMAINS),
    *(f"email:{domain}" for domain in DOMAINS),
    *(f"URI:{domain}" for domain in DOMAINS if domain),
    *("email:a@example.com", "IP:10.0.0.0/8", "IP:10.1.0.0/16", "IP:0.0.0.0/0", "IP:2001:db8::/32"),
    *("IP:::/0", "dirName:x", "raw:882a0304", "DNS:a.", "raw:870a000000ff00ff00"),
)
ALT_NAMES = (
    *("DNS:m1.example.com", "DNS:example.com", "DNS:*.example.com", "DNS:M1.EXAMPLE.com"),
    *("DNS:other.example", "DNS:*", "DNS:a..b", "DNS:.example.com", "DNS:*x.example.com"),
    *("IP:10.0.0.1", "IP:10.1.0.1", "IP:192.0.2.1", "IP:2001:db8::1"),
    *("email:a@example.com", "email:A@m1.example.com", "email:b@other.example", "email:x"),
    *(
        "URI:https://m1.example.com/x",
        "URI:spiffe://example.com",
        "URI:urn:x",
        "URI:https://[::1]/",
    ),
    *("raw:8700000000000000000000ffff0a000001", "dirName:y"),
)


def make_random_chain(choose: random.Random) -> Case:
    """Return a chain of up to three intermediates with random limits."""

    def pick(options: Sequence[str], most: int) -> list[str]:
        return choose.sample(options, choose.choice(range(most + 1)))

    def limits() -> list[bytes]:
        length = choose.choice([None, None, None, 0, 1, 2])
        extensions = [chains.basic(length=length)]
        if choose.random() < 0.3:
            extensions.append(chains.extended(*pick(USAGES, 3)))
        permitted, excluded = pick(LIMITS, 2), pick(LIMITS, 1)
        if choose.random() < 0.5 and (permitted or excluded):
            extensions.append(chains.constraints(permitted, excluded, choose.random() < 0.7))
        if choose.random() < 0.1:
            extensions.append(chains.alt_names(*choose.sample(ALT_NAMES, 1)))
        return extensions

    anchor = parent = root(*limits())
    parents = []
    for number in range(1, choose.choice([1, 2, 2, 3, 4])):
        subject = parent.subject if choose.random() < 0.2 else f"middle{number}"
        parent = middle(parent, *limits(), number=number, subject=subject)
        parents.append(parent)
    names = pick(ALT_NAMES, 3)
    own = [chains.basic(ca=False), *([chains.alt_names(*names)] if names else [])]
    choose.shuffle(parents)
    return Case(leaf(parent, *own), parents, [anchor])


USAGES = (chains.CLIENT, chains.SERVER, chains.ANY, chains.CODE_SIGNING)


def test_verdicts_of_random_chains_are_those_of_go(program: str) -> None:
    choose = random.Random(1)
    cases = [make_random_chain(choose) for _number in range(RANDOM_CHAINS)]
    errors = ask_go(program, cases)
    different = [
        (ours, error)
        for case, error in zip(cases, errors)
        if bool(ours := case.decide(NOW)) != bool(error)
    ]
    assert different == []
    assert 50 < errors.count("") < RANDOM_CHAINS - 50
