"""The JSON Schema of the status document: shapes from the types that it is made of, words from the modules' own documentation."""

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
    "no_answer": "a member gave none, so nothing is known of it",
    "unhealthy": "a scheduler is not healthy, or it is not one of the members that leads",
    "failed": "it answered, and a step of this run failed there",
    "drift": "all are healthy, and one differs from its plan or could not be compared with it",
    "healthy": "all are healthy and as planned",
}
# What no module documents.
WORDS = {
    "Document": "How the clusters of one run are, those that need a hand first.",
    "Document.schema": "Version of this form. It rises when a field is removed or means something else; further fields may come without that.",
    "Document.time": "When it was made, by the controller's clock, in UTC.",
    "Document.state": "The worst of the clusters' states.",
    "Document.clusters": "A cluster is a group of masters, kube_scheduler_group.",
    "Cluster": "One cluster.",
    "Cluster.name": "Name of the group.",
    "Cluster.state": "The worst of the members' states, or unhealthy where something is wrong with who leads: "
    + "; ".join(f"{state}: {words}" for state, words in STATE.items())
    + ".",
    "Cluster.leader": "Inventory name of the member that holds the lease; null where nobody does, or somebody else.",
    "Cluster.holder": "Hostname of who holds the lease, member or not.",
    "Cluster.leader_since": "Since when, by the leader's clock, as it stands in the lease.",
    "Cluster.transitions": "How often the leader has changed since there is a lease.",
    "Cluster.failover": "Seconds without a leader at most; null where the variables could not be read.",
    "Cluster.renew_before_days": "A certificate with fewer days left is renewed by the next run.",
    "Cluster.reasons": "What is wrong with the cluster as a whole, one line each.",
    "Cluster.notes": "What else there is to know of it, one line each.",
    "Cluster.not_asked": "Members that this run was not for (--limit), or has not come to yet (serial).",
    "Cluster.members": "By inventory name, those that need a hand first.",
    "Failover.crash": "After a crash of the leader.",
    "Failover.stop": "After the leader was stopped.",
    "Member": "One master.",
    "Member.state": "As of the cluster, for this member alone.",
    "Member.leads": "Whether it holds the lease.",
    "Member.compared": "Whether it was compared with its plan. Without that, an empty drift means nothing.",
    "Member.reasons": "Why the state is not healthy, one line each.",
    "Member.notes": "What else there is to know, one line each: what was not checked, and what its systemd or version cannot do.",
    "Member.answer": "What kube_ha.scheduler.scheduler_info returned there; null without an answer.",
    "Lease.age": "Seconds since the renewal by this host's clock; null where it cannot be told.",
    "Reported": "What kube_ha.scheduler.scheduler_info returned on a member.",
}
ENUMERATIONS = {f"{name}.state": list(status.STATES) for name in ("Document", "Cluster", "Member")}


def schema() -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    _described(status.Document, "", _documented(scheduler_info.RETURN), definitions)
    top = definitions.pop("Document")
    top["properties"]["schema"]["const"] = status.SCHEMA
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Status of kube-scheduler clusters, by kube_ha.scheduler",
        **top,
        "$defs": dict(sorted(definitions.items())),
    }


def text() -> str:
    return json.dumps(schema(), indent=2) + "\n"


def strict(found: Any) -> Any:
    """The same without room for a field that it does not name."""
    if isinstance(found, list):
        return [strict(entry) for entry in found]
    if not isinstance(found, dict):
        return found
    closed = {"additionalProperties": False} if "properties" in found else {}
    return {**{name: strict(value) for name, value in found.items()}, **closed}


def _documented(returned: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(returned)
    found["lease"]["contains"] = yaml.safe_load(leader_info.RETURN)
    return found


def _described(
    kind: Any, words: str, documented: dict[str, Any], definitions: dict[str, Any]
) -> None:
    """Adds a TypedDict, and those in it, to the definitions."""
    name, properties = kind.__name__, {}
    definitions[name] = {}
    for field, hint in typing.get_type_hints(kind).items():
        told = documented.get(field) or {} if name not in ("Document", "Cluster", "Member") else {}
        place = f"{name}.{field}"
        inner = (
            documented if name in ("Document", "Cluster", "Member") else told.get("contains") or {}
        )
        words_ = WORDS.get(place) or _plain(told.get("description"))
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
        found = _shape(arguments[0], documented, definitions)
        return (
            {"anyOf": [found, {"type": "null"}]}
            if "$ref" in found
            else {**found, "type": [found["type"], "null"]}
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
    """A description without Ansible's markup."""
    told = description if isinstance(description, str) else " ".join(description or ())
    return re.sub(r"\b(?:[CVOMIB]|RV)\(([^)]*)\)", r"\1", told)
