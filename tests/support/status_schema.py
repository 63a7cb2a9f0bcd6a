"""Build the JSON Schema of the status document.

The shapes come from the Python types of the document, and the descriptions from the module
documentation.
"""

from __future__ import annotations

import json
import re
import types
import typing
from typing import Any

import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report import status
from ansible_collections.kube_ha.scheduler.plugins.modules import leader_info, scheduler_info

KINDS = {str: "string", int: "integer", float: "number", bool: "boolean"}
STATE = {
    "no_answer": "a member returned no result, so its state is unknown",
    "unhealthy": "a scheduler is unhealthy, or the lease holder is not a member",
    "failed": "the host responded, but a step of this run failed there",
    "drift": "all are healthy, but one has drift or could not be compared with its plan",
    "healthy": "all are healthy and match the plan",
}
# No module documents these fields, so that the descriptions are here.
WORDS = {
    "StatusDocument": "State of the clusters of one run, unhealthy clusters first.",
    "StatusDocument.schema": (
        "Version of this format. It increases if a field is removed or changes its meaning. "
        "New fields do not change it."
    ),
    "StatusDocument.time": "Time of the report by the clock of the controller, in UTC.",
    "StatusDocument.state": "The worst state of the clusters.",
    "StatusDocument.clusters": "A cluster is a group of hosts, kube_scheduler_group.",
    "ClusterStatus": "One cluster.",
    "ClusterStatus.name": "Name of the group.",
    "ClusterStatus.state": (
        "The worst state of the members, or unhealthy if the leader is not valid: "
        + "; ".join(f"{state}: {words}" for state, words in STATE.items())
        + "."
    ),
    "ClusterStatus.leader": (
        "Inventory name of the member that holds the lease; null if no member holds it."
    ),
    "ClusterStatus.holder": "Hostname of the lease holder, member or not.",
    "ClusterStatus.leader_since": "Start of the leadership by the leader's clock, from the lease.",
    "ClusterStatus.transitions": "Number of leader changes since the lease was created.",
    "ClusterStatus.failover": (
        "Upper bounds of the seconds without a leader; null if the variables are not readable."
    ),
    "ClusterStatus.renew_before_days": "The next run renews a certificate with fewer days left.",
    "ClusterStatus.reasons": "Problems of the cluster as a whole, one line each.",
    "ClusterStatus.notes": "Further information about the cluster, one line each.",
    "ClusterStatus.not_asked": (
        "Members that this run excludes (--limit), or has not reached yet (serial)."
    ),
    "ClusterStatus.members": "Members by inventory name, unhealthy members first.",
    "Failover.crash": "After a crash of the leader.",
    "Failover.stop": "After a stop of the leader.",
    "MemberStatus": "One host.",
    "MemberStatus.state": "The same states as of the cluster, for this member alone.",
    "MemberStatus.leads": "Whether the member holds the lease.",
    "MemberStatus.compared": (
        "Whether the member was compared with its plan. If not, an empty drift has no meaning."
    ),
    "MemberStatus.reasons": "Why the state is not healthy, one line each.",
    "MemberStatus.notes": (
        "Further information, one line each: checks that did not run, and what systemd or "
        "the version of the member does not support."
    ),
    "MemberStatus.answer": (
        "Result of kube_ha.scheduler.scheduler_info on the member; null without a result."
    ),
    "Lease.age": "Seconds since the renewal by this host's clock; null if unknown.",
    "HostResult": "Result of kube_ha.scheduler.scheduler_info on a member.",
}
ENUMERATIONS = {
    f"{name}.state": list(status.STATUS_STATES)
    for name in ("StatusDocument", "ClusterStatus", "MemberStatus")
}


def schema() -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    _described(status.StatusDocument, "", _documented(scheduler_info.RETURN), definitions)
    top = definitions.pop("StatusDocument")
    top["properties"]["schema"]["const"] = status.SCHEMA_VERSION
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Status of kube-scheduler clusters, by kube_ha.scheduler",
        **top,
        "$defs": dict(sorted(definitions.items())),
    }


def text() -> str:
    return json.dumps(schema(), indent=2) + "\n"


def strict(result: Any) -> Any:
    """Return the same schema without additional fields."""
    if isinstance(result, list):
        return [strict(entry) for entry in result]
    if not isinstance(result, dict):
        return result
    closed = {"additionalProperties": False} if "properties" in result else {}
    return {**{name: strict(value) for name, value in result.items()}, **closed}


def _documented(returned: str) -> dict[str, Any]:
    result: dict[str, Any] = yaml.safe_load(returned)
    result["lease"]["contains"] = yaml.safe_load(leader_info.RETURN)
    return result


def _described(
    kind: Any, words: str, documented: dict[str, Any], definitions: dict[str, Any]
) -> None:
    """Add a TypedDict and the types of its fields to the definitions."""
    name, properties = kind.__name__, {}
    definitions[name] = {}
    for field, hint in typing.get_type_hints(kind).items():
        reported = (
            documented.get(field) or {}
            if name not in ("StatusDocument", "ClusterStatus", "MemberStatus")
            else {}
        )
        place = f"{name}.{field}"
        inner = (
            documented
            if name in ("StatusDocument", "ClusterStatus", "MemberStatus")
            else reported.get("contains") or {}
        )
        words_ = WORDS.get(place) or _plain(reported.get("description"))
        properties[field] = {"description": words_, **_shape(hint, inner, definitions)}
        if place in ENUMERATIONS:
            properties[field]["enum"] = ENUMERATIONS[place]
    about = WORDS.get(name) or words
    definitions[name] = {
        **({"description": about} if about else {}),
        "type": "object",
        "required": list(properties),
        "properties": properties,
    }


def _shape(hint: Any, documented: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        result = _shape(arguments[0], documented, definitions)
        return (
            {"anyOf": [result, {"type": "null"}]}
            if "$ref" in result
            else {**result, "type": [result["type"], "null"]}
        )
    if origin is list:
        return {"type": "array", "items": _shape(arguments[0], documented, definitions)}
    if origin is dict:
        return {
            "type": "object",
            "additionalProperties": _shape(arguments[1], documented, definitions),
        }
    if hint in KINDS:
        return {"type": KINDS[hint]}
    if hint.__name__ not in definitions:
        _described(hint, "", documented, definitions)
    return {"$ref": f"#/$defs/{hint.__name__}"}


def _plain(description: Any) -> str:
    """Return a description without Ansible's markup."""
    reported = description if isinstance(description, str) else " ".join(description or ())
    return re.sub(r"\b(?:[CVOMIB]|RV)\(([^)]*)\)", r"\1", reported)
