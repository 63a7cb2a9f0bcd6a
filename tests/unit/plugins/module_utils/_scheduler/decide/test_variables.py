"""Test the types of the variables, and how the role parses them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import (
    variables,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.variables import (
    Variables,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._role_spec import VARIABLES_SPEC

from tests.support.role import ROLE
from tests.unit.plugins.module_utils._scheduler.decide.test_variable_rules import (
    PREFIX,
    PRESETS,
    settings,
)


def test_variables_have_the_types_of_the_argument_spec() -> None:
    """Each option of the argument spec is a field with the Python type of its values."""
    python_types = {
        "str": "str",
        "bool": "bool",
        "int": "int",
        "list": "list[str]",
        "dict": "dict[str, t.Any]",
        "raw": "t.Any",
    }
    assert {name: field.type for name, field in Variables.__dataclass_fields__.items()} == {
        name: python_types[option["type"]] for name, option in VARIABLES_SPEC.items()
    }
    assert all(
        option.get("elements") == "str"
        for option in VARIABLES_SPEC.values()
        if option["type"] == "list"
    )


def test_argument_spec_is_read_without_defaults() -> None:
    path = ROLE / "meta/argument_specs.yml"
    options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
    assert {PREFIX + name: option for name, option in VARIABLES_SPEC.items()} == {
        name: {key: option[key] for key in ("type", "choices", "elements") if key in option}
        for name, option in options.items()
    }


def test_strings_are_converted_as_by_ansible() -> None:
    v = settings(rollout="false", manage_packages="no", secure_port="10999")
    assert (v.rollout, v.manage_packages, v.secure_port) == (False, False, 10999)
    v = settings(extra_sans="m1.example,192.0.2.9", subject="CN=system:kube-scheduler,O=them")
    assert v.extra_sans == ["m1.example", "192.0.2.9"]
    assert v.subject == {"CN": "system:kube-scheduler", "O": "them"}


def test_wrong_type_names_the_variable() -> None:
    raw = {name: getattr(settings(), name) for name in VARIABLES_SPEC}
    result, errors = variables.parse_variables(
        {**raw, "pki": "own", "secure_port": "x"}, VARIABLES_SPEC, PREFIX
    )
    assert result is None
    assert any(
        "kube_scheduler_pki" in line and "node, shared, provided" in line for line in errors
    ), errors
    assert any("kube_scheduler_secure_port" in line for line in errors), errors


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("apiservers", None, []),
        ("config", None, {}),
        ("extra_args", None, {}),
        ("extra_sans", None, []),
        ("bin_dir", "/opt/k8s/bin/", "/opt/k8s/bin"),
        ("log_dir", "/var/log/kube//", "/var/log/kube"),
    ],
)
def test_value_is_normalized(name: str, value: object, expected: object) -> None:
    raw = {option: getattr(settings(), option) for option in VARIABLES_SPEC}
    result, errors = variables.parse_variables({**raw, name: value}, VARIABLES_SPEC, PREFIX)
    assert (getattr(result, name), errors) == (expected, [])


def test_null_of_another_variable_is_an_error() -> None:
    raw = {option: getattr(settings(), option) for option in VARIABLES_SPEC}
    result, errors = variables.parse_variables({**raw, "user": None}, VARIABLES_SPEC, PREFIX)
    assert result is None
    assert errors == [
        "kube_scheduler_user: has no value; set one, or remove the variable to use its default"
    ]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("profiles", "config: {profiles: …}"),
        ("extenders", "config: {extenders: …}"),
        ("config_extra_opts", "config"),
        ("client_conn_extra_opts", "config: {clientConnection: …}"),
        ("leader_elect_extra_opts", "config: {leaderElection: …}"),
        ("leader_elect_lease_duration", "lease_duration"),
        ("leader_elect_renew_deadline", "renew_deadline"),
    ],
)
def test_variable_of_kubespray_causes_a_warning(name: str, advice: str) -> None:
    assert variables.warn_about_unknown_variables([name], VARIABLES_SPEC, PREFIX) == [
        f"kube_scheduler_{name}: the role has no such variable; set kube_scheduler_{advice}"
    ]


def test_similar_variable_name_causes_a_warning() -> None:
    [line] = variables.warn_about_unknown_variables(
        ["versoin", "version", "hosts", "of_another_collection"], VARIABLES_SPEC, PREFIX
    )
    assert (
        line
        == "kube_scheduler_versoin: the role has no such variable; did you mean kube_scheduler_version?"
    )


def test_election_times_are_resolved() -> None:
    assert variables.resolve_election(settings(), PRESETS).timings() == variables.ElectionTimings(
        15, 10, 2
    )
    mixed = settings(
        lease_preset="fast", lease_duration="6s", config={"leaderElection": {"renewDeadline": "4s"}}
    )
    assert variables.resolve_election(mixed, PRESETS).timings() == variables.ElectionTimings(
        6, 4, 1
    )
    timings = variables.ElectionTimings(15, 10, 2)
    assert (
        round(timings.crash_bound, 1),
        round(timings.stop_bound, 1),
        timings.renewal_timeout,
    ) == (
        23.8,
        4.4,
        6,
    )
    assert replace(timings, retry_period=10).renewal_timeout == 30
