# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""scheduler_plan: collects what the pure functions of module_utils/_scheduler need, on the controller, and calls them."""

from __future__ import annotations

import json
import os
import secrets
import typing as t
from dataclasses import asdict

import yaml
from ansible import constants as C  # noqa: N812
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.yaml.dumper import AnsibleDumper
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MALFORMED_DATA_ERRORS,
    CollectionError,
    FilesError,
    MissingError,
    PlanError,
    X509Error,
    describe_error,
    printable_line,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, write
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec, versions
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import (
    adopt,
    plan,
    rollout,
    rotation,
    variable_rules,
    variables,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.host_rules import (
    validate_apiserver,
    validate_host,
    validate_instances,
    warn_about_apiservers,
    warn_about_host,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    ACCEPT,
    CA,
    ISSUE,
    LEAF,
    MAX_WAIT_S,
    fileset_dir,
    unit_name,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report import (
    metrics,
    monitoring,
    status,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report.page import (
    render_status_page,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    claim_of,
    parse_settings,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import (
    base,
    controller,
    provided,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import (
    certificate as _certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _arguments, _vault

Vars = dict[str, t.Any]
# What x509_cert calls them, and what the role does.
CERTIFICATE_VARIABLES = {
    "ca_path": "ca_cert",
    "ca_privatekey_path": "ca_key",
    "ca_config": "ca_config",
    "profile": "ca_profile",
    "valid_for": "cert_valid_for",
    "csr_path": "csr_dir",
    "certificate_source": "csr_dir",
    "subject_alt_name": "extra_sans",
    "subject": "subject",
    "renew_before": "renew_before",
}
# Strategies that do not keep the hosts of a play together.
UNORDERED = ("free", "host_pinned", "mitogen_free", "mitogen_host_pinned")
# What the report is written as, by the variable that names the file.
REPORTS: dict[str, t.Callable[[status.Document], str]] = {
    "status_json": lambda report: json.dumps(report, indent=2) + "\n",
    "status_html": render_status_page,
    "status_metrics": metrics.text,
}
# Ansible's own colours: what is well, differs, is wrong, or cannot be reached.
COLOURS = {
    "healthy": C.COLOR_OK,
    "drift": C.COLOR_CHANGED,
    "failed": C.COLOR_ERROR,
    "unhealthy": C.COLOR_ERROR,
    "no_answer": C.COLOR_UNREACHABLE,
}
# What the templates use beside the plan.
OF_TEMPLATES = ("ansible_managed", "__kube_scheduler_hardening")
# Variables that only a playbook reads.
OF_PLAYBOOKS = (
    "drill",
    "drill_report_dir",
    "drill_targets",
    "drill_undo_after",
    "kube_scheduler_admin_kubeconfig",
    "rotate",
    *monitoring.SPEC,
    *REPORTS,
)


class ActionModule(ActionBase):
    """One step of the plan for one host. No module is run, and no host is contacted."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Vars | None = None) -> Vars:
        result: Vars = super().run(tmp, task_vars)
        self.options = _arguments.read(self, spec.PLAN, spec.PLAN_REQUIRED_IF)
        self.vars: Vars = task_vars or {}
        self.name: str = self.vars["inventory_hostname"]
        self.prefix: str = self.options["prefix"]
        steps: dict[str, t.Callable[[], Vars]] = {
            "instance": self._instance,
            "variables": self._variables,
            "host": self._host,
            "rotation": self._rotation,
            "rotated": self._rotated,
            "rollout": self._rollout,
            "rollback": self._rollback,
            "outcome": self._outcome,
            "gate": self._gate,
            "verdict": self._verdict,
            "status": self._status,
            "removal": self._removal,
            "monitoring": self._monitoring,
        }
        try:
            found = steps[self.options["step"]]()
        except CollectionError as error:
            raise AnsibleActionFail(str(error)) from None
        except MALFORMED_DATA_ERRORS as error:
            raise AnsibleActionFail(
                f"{self.name}: step {self.options['step']}: its options are not what earlier steps have returned ({describe_error(error)})"
            ) from None
        found["faults"] = [printable_line(fault) for fault in found["faults"]]
        # Without the variables nothing can follow, whoever is asked to go on.
        if found["faults"] and (self.options["strict"] or found.get("sans", ()) is None):
            return result | {
                "failed": True,
                "msg": "\n".join(found["faults"]),
                "faults": found["faults"],
            }
        return result | found

    # --- what the steps stand on

    def _templated(self, name: str) -> t.Any:
        try:
            return self._templar.template(self.vars[name])
        except AnsibleError as error:
            text = " ".join(str(error.message).split())
            raise PlanError(f"{name}: cannot be computed for {self.name}: {text}") from None

    def _members(self, group: str, own: str) -> dict[str, str]:
        """Address by inventory name, in the inventory's order."""
        hostvars = self.vars["hostvars"]
        found = {}
        for name in self.vars["groups"].get(group, []):
            host = hostvars[name]
            if name != self.name:
                self._refuse_facts(name, host.get("ansible_facts"), (f"{self.prefix}address",))
            theirs = own if name == self.name else host.get(f"{self.prefix}address")
            found[name] = variables.choose_address(theirs, host.get("ansible_host"), name)
        return found

    def _hosts(self, data: Vars) -> dict[str, t.Mapping[str, t.Any]]:
        """The variables of the members of this play; each costs some milliseconds.

        As they are, not templated: what is read of them is what earlier tasks have registered.
        """
        hostvars = self.vars["hostvars"]
        return {name: hostvars.raw_get(name) for name in data["playing"] if name in hostvars}

    def _answers(
        self, option: str = "answers", hosts: t.Mapping[str, t.Mapping[str, t.Any]] | None = None
    ) -> dict[str, Vars]:
        """What the members of this play have answered, by inventory name; a host's odd answer counts as none."""
        found = {}
        for name, host in (self._hosts(self.options["input"]) if hosts is None else hosts).items():
            answer = host.get(self.options[option])
            if isinstance(answer, t.Mapping) and isinstance(answer.get("hostname"), str):
                found[name] = dict(answer)
        return found

    def _refuse_facts(self, name: str, facts: t.Any, names: t.Collection[str] = ()) -> None:
        """Fails where a host's facts, which a cache or an earlier task may hold, set what only variables may set."""
        known = [str(key) for key in facts] if isinstance(facts, t.Mapping) else []
        poisoned = [
            key
            for key in known
            if (
                key in names
                if names
                else key in OF_PLAYBOOKS or key.lstrip("_").startswith(self.prefix)
            )
        ]
        if poisoned:
            raise PlanError(
                f"{name}: its facts hold {', '.join(sorted(poisoned))}, which only variables may set; find out what answers there"
            )

    def _asked(self, data: Vars | None = None) -> rollout.PlayScope:
        data = data or self.options["input"]
        there = self.vars["ansible_play_hosts"]
        lost = [name for name in data["playing"] if name not in there]
        return rollout.PlayScope(
            data["members"], data["playing"], self.vars["ansible_play_batch"], lost
        )

    def _settings(self) -> variables.Variables:
        return variables.Variables(**self.options["input"]["variables"])

    def _tables(self) -> plan.Tables:
        return plan.Tables(
            **{name: self.vars[held_by] for name, held_by in self.options["tables"].items()}
        )

    def _render(self, template: str, host_plan: plan.HostPlan) -> str:
        lookup = lookup_loader.get(
            "ansible.builtin.template", loader=self._loader, templar=self._templar
        )
        # The lookup copies all that it is given.
        known = {name: self.vars[name] for name in OF_TEMPLATES if name in self.vars}
        of_plan = {"config": host_plan["config"], "unit": host_plan["unit"]}
        known |= {"ansible_search_path": self._task.get_search_path(), "plan": wrap_var(of_plan)}
        return str(lookup.run([template], variables=known)[0])

    # --- the steps

    def _instance(self) -> Vars:
        """What removal goes by. It needs no version, no address and no CA to be right."""
        self._refuse_facts(self.name, self.vars.get("ansible_facts"))
        name, group, kubeconfig = (
            str(self._templated(f"{self.prefix}{n}")) for n in ("name", "group", "kubeconfig_path")
        )
        members = list(self.vars["groups"].get(group, []))
        confirm = f"{self.prefix}confirm"
        return {
            "faults": variable_rules.validate_instance_name(name, self.prefix),
            **_named(name),
            "kubeconfig": kubeconfig,
            "members": members,
            "playing": [m for m in members if m in self.vars["ansible_play_hosts_all"]]
            or [self.name],
            "all": confirm in self.vars and str(self._templated(confirm)) == "all",
        }

    def _removal(self) -> Vars:
        answers, data = self._answers(), self.options["input"]
        if self.name not in answers:
            return {"faults": [f"{self.name}: it gave no answer that can be used"]}
        instead = f"say -e {self.prefix}confirm=all"
        found = rollout.check_removal(self.name, answers, self._asked(), instead)
        process = answers[self.name]["process"]
        patience = plan.handover_timeout_of(process["timings"])
        handover = self._handover(process, data["kubeconfig"], patience) if process["pid"] else None
        return {"faults": found.errors, "leads": found.leads, "handover": handover}

    def _monitoring(self) -> Vars:
        """What this host of Prometheus is to have, for all masters of which the variables are known."""
        self._refuse_facts(self.name, self.vars.get("ansible_facts"))
        settings, faults = monitoring.read(
            {name: self._templated(name) for name in monitoring.SPEC if name in self.vars}
        )
        tables, clusters = self._tables(), self._monitored()
        if not clusters:
            faults.append(
                "no master's variables are known; run monitoring.yml without --limit and --tags"
            )
        for cluster in clusters:
            faults += monitoring.faults(cluster, tables.versions, self.prefix)
        if faults or not settings:
            return {"faults": faults}
        found = monitoring.plan(clusters, settings, tables.versions)
        texts = {
            path: content
            if isinstance(content, str)
            else yaml.dump(content, Dumper=AnsibleDumper, sort_keys=False, width=1000)
            for path, content in found.files.items()
        }
        return {
            "faults": [],
            "warnings": found.warnings,
            "identities": found.identities,
            "files": [{"path": path, "content": content} for path, content in texts.items()],
            **{
                key: value
                for key, value in settings._asdict().items()
                if key in ("dir", "group", "service")
            },
            "subject": monitoring.SCRAPER,
            "valid_for": monitoring.LIFETIME,
            "renew_before": monitoring.RENEWED,
        }

    def _monitored(self) -> list[monitoring.Cluster]:
        presets = self._tables().lease_presets
        found: dict[tuple[str, str], monitoring.Cluster] = {}
        for name, host in self.vars["hostvars"].items():
            data = host.get(self.options["inputs"])
            if not isinstance(data, t.Mapping) or not data.get("sans"):
                continue
            v = variables.Variables(**data["variables"])
            cluster = found.setdefault(
                (v.group, v.name),
                monitoring.Cluster(
                    variables={},
                    addresses=dict(zip(data["members"], data["addresses"])),
                    timings=variables.resolve_election(v, presets).timings(),
                    ca=data["authorities_pem"],
                ),
            )
            cluster.variables[name] = v
        return list(found.values())

    def _variables(self) -> Vars:
        prefix = self.prefix
        own = [name for name in self.vars if isinstance(name, str) and name.startswith(prefix)]
        self._refuse_facts(self.name, self.vars.get("ansible_facts"))
        raw = {
            name.removeprefix(prefix): self._templated(name)
            for name in own
            if name.removeprefix(prefix) in variables.VARIABLES_SPEC
        }
        v, faults = variables.parse_variables(raw, prefix)
        if v is None:
            return {"faults": faults, "sans": None}
        members = self._members(v.group, v.address)
        playing = [name for name in members if name in self.vars["ansible_play_hosts_all"]]
        cluster = variable_rules.InventoryCluster(
            me=self.name,
            addresses=members,
            playing=playing,
            leading=self.name == (playing or self.vars["ansible_play_hosts_all"])[0],
        )
        tables = self._tables()
        election = variables.resolve_election(v, tables.lease_presets)
        faults = variable_rules.validate_variables(
            v, cluster, election, versions=tables.versions, is_file=os.path.isfile, prefix=prefix
        )
        strategy = self._strategy()
        if strategy in UNORDERED:
            faults.append(
                f"the strategy {strategy} rolls all members of a cluster at once; use the strategy linear"
            )
        result: Vars = {
            "faults": faults,
            "warnings": variables.warn_about_unknown_variables(
                (name.removeprefix(prefix) for name in own), prefix
            )
            if cluster.leading
            else [],
            "variables": asdict(v),
            **_named(v.name),
            "scheduler": v.scheduler_name,
            "members": list(members),
            "addresses": list(members.values()),
            "playing": playing,
            "makes_reader": v.is_signed_by_controller and not v.metrics_cert,
            "live_files": plan.list_credential_files(v),
            "live_paths": plan.list_fileset_paths(v),
            "folders": plan.list_root_directories(v),
            "of_playbooks": {
                name: self._templated(name) for name in OF_PLAYBOOKS if name in self.vars
            },
            "rotation": self.options["rotation"] or {},
            "sans": None,
        }
        kind = result["of_playbooks"].get("rotate", LEAF) if result["rotation"] else None
        silent = [name for name in members if name not in self.vars["ansible_play_batch"]]
        faults += rotation.validate_rotation(v, kind, silent, prefix)
        for name in REPORTS:
            if name in result["of_playbooks"]:
                self._report_path(name, result["of_playbooks"][name])
        if not faults:
            addresses = [members[self.name]] if v.sans == "own" else list(members.values())
            result["sans"] = list(dict.fromkeys(["127.0.0.1", *addresses, *v.extra_sans]))
            for name in ("ca_cert", "new_ca_cert", "apiserver_ca", "metrics_cert"):
                path = getattr(v, name)
                result[f"{name}_pem"] = self._read(f"{prefix}{name}", path) if path else None
            # What is wrong with the CA that signs, _ca_faults tells.
            faults += [
                f"{prefix}{name}: {getattr(v, name)} holds no certificate that can be read; give a file in PEM form"
                for name in ("apiserver_ca", "metrics_cert")
                if getattr(v, name) != v.ca_cert and not _certified(result[f"{name}_pem"])
            ]
            if v.pki == "provided":
                faults += self._provided_faults(v, result["sans"])
            elif v.new_ca_cert:
                # The former one may have expired, or be lost.
                faults += self._ca_faults(
                    rotation.select_signing_ca(v, ISSUE), result["sans"], next_=True
                )
            else:
                faults += self._ca_faults(v, result["sans"])
            authorities = _authorities(result)
            result["authorities_pem"] = authorities.all_pem
            result["apiserver_cas_pem"] = authorities.trusted_after(ACCEPT if v.new_ca_cert else "")
        return result

    def _strategy(self) -> str:
        """The strategy of the play, without a namespace."""
        part: t.Any = self._task
        while part is not None and getattr(part, "_play", None) is None:
            part = getattr(part, "_parent", None)
        return str(getattr(getattr(part, "_play", None), "strategy", "linear")).rpartition(".")[2]

    def _read(self, option: str, path: str) -> str:
        try:
            with open(path, encoding="ascii") as stream:
                text = stream.read(1 << 20)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not PEM text"
            raise PlanError(f"{option}: cannot read {path} on the controller: {reason}") from None
        # It would be shown, and laid on every host.
        if "PRIVATE KEY-----" in text:
            raise PlanError(
                f"{option}: {path} holds a private key; give a file with the certificates alone"
            )
        return text

    def _ca_faults(
        self, v: variables.Variables, sans: list[str], *, next_: bool = False
    ) -> list[str]:
        """Whether the CA can sign what the host is to have, asked as it will be asked then; nothing is made. C(next_): whether it is the new one."""
        names = {option: f"{self.prefix}{name}" for option, name in CERTIFICATE_VARIABLES.items()}
        if next_:
            names |= {
                "ca_path": f"{self.prefix}new_ca_cert",
                "ca_privatekey_path": f"{self.prefix}new_ca_key",
            }
        wanted = {
            "path": v.cert_path,
            "privatekey_path": v.key_path,
            **plan.build_certificate_options(v, self.name, sans),
        }
        prepare: t.Callable[..., t.Any] = (
            controller.prepare if v.is_signed_by_controller else controller.prepare_external
        )
        try:
            prepare(wanted, lambda _option, path: path)
        except CollectionError as error:
            fault = error.format_for(names)
            if (
                v.is_signed_by_controller
                and isinstance(error, MissingError)
                and not os.path.isfile(v.ca_key)
            ):
                fault += f"; if it is on a master alone (kubeadm's is /etc/kubernetes/pki/ca.key), copy it here, or set {self.prefix}pki to external"
            return [fault]
        return []

    def _provided_faults(self, v: variables.Variables, sans: list[str]) -> list[str]:
        """Whether the pair that the operator provides does what an own one would."""
        files = []
        for name in ("cert_source", "key_source", "ca_cert"):
            option, path = f"{self.prefix}{name}", getattr(v, name)
            try:
                controller.readable(option, path, lambda _option, path: path)
                files.append(provided.File(option, path, _vault.content(self, path) or b""))
            except CollectionError as error:
                return [str(error) if error.location else f"{option}: {error}"]
        try:
            certificate, key, ca = files
            return variable_rules.validate_provided_pair(certificate, key, ca, sans, base.now())
        except X509Error as error:
            return [error.format_for({"ca_path": f"{self.prefix}ca_cert"})]

    def _host(self) -> Vars:
        data, host = self.options["input"], self.options["host"]
        v, tables, name = self._settings(), self._tables(), self.name
        answers, authorities = self._answers(), _authorities(data)
        step, asked = "", data["rotation"].get("step", "")
        # A host that lies about itself can at most make itself fail.
        try:
            version = plan.desired_version(v, host["process"]["version"])
            twins = [
                other
                for other, answer in answers.items()
                if other != name and answer["hostname"] == host["hostname"]
            ]
            faults = validate_host(v, name, version, host, twins=twins, prefix=self.prefix)
            if authorities.next:
                step = rotation.later_step(rotation.completed_step(host, authorities), asked)
                faults += rotation.check_step(name, asked, host, authorities, self.prefix)
            v = rotation.select_signing_ca(v, step)
            warnings = warn_about_apiservers(
                v,
                name,
                version,
                {**answers, name: host},
                addresses=data["addresses"],
                prefix=self.prefix,
            )
            row = versions.row_of(tables.versions, version)
            if version and row is None:
                faults.append(
                    f"{name}: its scheduler has version {version}, which this collection does not know"
                )
            if row is None:
                return {"faults": faults, "wanted": None, "limitations": []}
            found = plan.compute_plan(
                v,
                name,
                host,
                election=variables.resolve_election(v, tables.lease_presets),
                sans=data["sans"],
                apiserver_ca=authorities.trusted_after(step),
                replace=data["rotation"].get("replace", ()),
                tables=tables,
                running=_running(answers),
                prefix=self.prefix,
                check_mode=self._task.check_mode,
            )
        except MALFORMED_DATA_ERRORS as error:
            raise PlanError(
                f"{name}: its answer cannot be used ({describe_error(error)}); find out what answers there"
            ) from None
        adoption = adopt.compare_settings(
            host["process"],
            found["settings"],
            tables.known_flags,
            versions.minor_of(version),
            self.prefix,
        )
        faults += found["errors"] or [
            *self._instance_faults(v, found, host),
            *adopt.check_lost_settings(name, host, adoption, adopt=v.adopt, prefix=self.prefix),
        ]
        for line in (
            adopt.describe_adoption(name, host, adoption, v.user) if self.options["strict"] else ()
        ):
            self._display.display(printable_line(line))
        found["binary"].update(self._binary(v, found["binary"]))
        if not faults:
            contents = {"config": "kube-scheduler.yaml.j2", "unit": "kube-scheduler.service.j2"}
            for file in found["files"]:
                if file["name"] in contents:
                    file["content"] = self._render(contents[file["name"]], found)
        warnings += warn_about_host(name, host)
        wanted = None if faults else _wanted(v, found)
        shown = {key: value for key, value in found.items() if key != "errors"}
        return {**shown, "faults": faults, "warnings": warnings, "wanted": wanted}

    def _instance_faults(
        self, v: variables.Variables, found: plan.HostPlan, host: Vars
    ) -> list[str]:
        told = parse_settings(found["command"][1:], found["config"].encode())
        serving = versions.serving_of(versions.serving(self._tables().versions), found["version"])
        own = claim_of(unit_name(v.name), told, serving, [file["path"] for file in found["files"]])
        return validate_instances(v, self.name, own, host["instances"], self.prefix)

    def _binary(self, v: variables.Variables, binary: dict[str, str]) -> dict[str, str]:
        """What only the controller and the host know of a binary that is not downloaded."""
        prefix = self.prefix
        if v.binary_source == "present":
            advice = "put the binary there, or let it be brought with download or controller"
            return {
                "missing": f"{prefix}binary_source: present, but {self.name} has no {binary['path']}; {advice}"
            }
        if v.binary_source == "controller":

            def read(path: str) -> str:
                return self._read(f"{prefix}binary_url", path)

            return variable_rules.inspect_controller_binary(
                binary, is_file=os.path.isfile, read=read, prefix=prefix
            )
        return {}

    def _rotation(self) -> Vars:
        """Where a rotation stands, the steps that are to do, and what this host's part in them is."""
        data, v = self.options["input"], self._settings()
        kind, authorities = data["of_playbooks"].get("rotate", LEAF), _authorities(data)
        hosts = self._hosts(data)
        answers = self._answers(hosts=hosts)
        silent = [name for name in data["playing"] if name not in answers]
        faults = [f"{name}: it gave no answer that can be used" for name in silent]
        for name, answer in answers.items():
            planned = hosts[name].get(self.options["plans"]) or {}
            faults += rotation.check_other_drift(name, answer, str(planned.get("version") or ""))
        table, lines = rotation.format_certificate_table(answers, authorities, v, base.now()), []
        if kind == CA:
            # Only who gathers asks the apiserver.
            seen = self._answers("before", hosts)
            asked = {
                name: {
                    **answer,
                    **{key: seen.get(name, answer)[key] for key in ("apiserver", "apiservers")},
                }
                for name, answer in answers.items()
            }
            stands = rotation.completed_steps(asked, authorities)
            signs = not self._ca_faults(v, data["sans"])
            steps = rotation.remaining_steps(
                stands, can_previous_sign=signs, check=self._task.check_mode
            )
            lines = rotation.describe_ca_steps(
                stands,
                {name: rotation.is_next_ca_accepted(answer) for name, answer in asked.items()},
            )
        else:
            steps = [kind] if kind == LEAF or rotation.is_renewal_due(answers) else []
            lines = [] if steps else ["no certificate is due"]
        self._tell(lines, table)
        return {"faults": faults, "steps": steps, "replace": self._replaced(kind, v, answers)}

    def _replaced(self, kind: str, v: variables.Variables, answers: dict[str, Vars]) -> list[str]:
        """The certificate that a rotation of leaf certificates takes from this host; the controller's own tells itself."""
        if kind != LEAF:
            return []
        if v.pki == "shared":
            there = os.path.isfile(v.cert_source)
            own = (
                rotation.first_fingerprint(self._read(f"{self.prefix}cert_source", v.cert_source))
                if there
                else ""
            )
        else:
            own = (
                rotation.pair_fingerprint(answers[self.name]["certificates"])
                if self.name in answers
                else ""
            )
        return [own] if own else []

    def _rotated(self) -> Vars:
        """What the members have at the end of a rotation."""
        data, v, answers = self.options["input"], self._settings(), self._answers()
        # Where a rotation of the CA stands by now, the report has told.
        self._tell(
            [], rotation.format_certificate_table(answers, _authorities(data), v, base.now())
        )
        replaced = data["rotation"].get("replace", [])
        return {"faults": rotation.evaluate_rotation(self.name, answers.get(self.name), replaced)}

    def _rollout(self) -> Vars:
        answers, asked = self._answers(), self._asked()
        lines = rollout.describe_drift(answers[self.name]) if self.name in answers else []
        for line in lines:
            self._display.display(f"pending on {self.name}: {line}")
        order = rollout.compute_order(answers) if self._settings().rollout else []
        self._tell(
            rollout.describe_order(order, answers, self.options["version"], self._seconds("bound"))
        )
        return {
            "faults": rollout.check_leader_scope(order, answers, asked),
            "batches": order,
            "healthy": rollout.list_healthy(answers),
            "pending": lines,
            "outdated": rollout.are_results_stale(order, asked.batch),
            "version": self.options["version"],
            "compared": True,
        }

    def _rollback(self) -> Vars:
        hosts, asked = self._hosts(self.options["input"]), self._asked()
        answers = self._answers(hosts=hosts)
        recalled = {
            name: hosts[name].get(self.options["recalled"]) or {}
            for name in answers
            if name not in asked.lost
        }
        if not recalled.get(self.name):
            raise PlanError(f"nothing was recalled on {self.name}", option="recalled")
        order = rollout.compute_order(
            answers, [name for name, found in recalled.items() if found.get("changed") is True]
        )
        own, host = recalled[self.name], self.options["host"]
        version = str(own.get("version") or "")
        self._tell(rollout.describe_order(order, answers, version, self._seconds("bound")))
        return {
            "faults": [
                *rollout.check_recall(self.name, own, base.now(), self.prefix),
                *validate_apiserver(self._settings(), self.name, version, host, self.prefix),
                *rollout.check_recalled_versions(recalled, answers),
                *rollout.check_leader_scope(order, answers, asked),
            ],
            "batches": order,
            "healthy": rollout.list_healthy(answers),
            "outdated": rollout.are_results_stale(order, asked.batch),
            "version": version,
            "compared": False,
        }

    def _seconds(self, option: str) -> float:
        """An option that is a number of seconds. Raises PlanError."""
        value = float(self.options[option])
        if not 0 <= value <= MAX_WAIT_S:
            raise PlanError(f"{value} is not between 0 and {MAX_WAIT_S} seconds", option=option)
        return value

    def _tell(self, lines: list[str], table: list[str] | None = None) -> None:
        """Shows what is the same for the whole cluster, once."""
        playing = [
            name
            for name in self.options["input"]["playing"]
            if name in self.vars["ansible_play_batch"]
        ]
        if playing[:1] == [self.name]:
            for line in [*(table or []), *(f"{self._settings().group}: {line}" for line in lines)]:
                self._display.display(line)

    def _gate(self) -> Vars:
        order, hosts = self.options["order"], self._hosts(self.options["input"])
        if not 0 <= self.options["position"] <= len(order):
            raise PlanError(
                f"{self.options['position']} is no position of a rollout in {len(order)} steps",
                option="position",
            )
        foreign = [
            name for name in self.options["healthy"] if name not in self.options["input"]["members"]
        ]
        if foreign:
            raise PlanError(f"{foreign[0][:80]!r} is no member of the cluster", option="healthy")
        self._seconds("timeout")
        found = {
            name: hosts[name].get(self.options["marks"]) or {} for batch in order for name in batch
        }
        asked, answers = self._asked(), self._answers(hosts=hosts)
        marks = rollout.RolloutMarks(
            rolled=[name for name, mark in found.items() if mark.get("rolled")],
            failed={*(name for name, mark in found.items() if mark.get("failed")), *asked.lost},
            blocked={
                name: str(mark["blocked"]) for name, mark in found.items() if mark.get("blocked")
            },
        )
        if self._task.check_mode:
            # Nothing was rolled, so nothing that was sick has become healthy.
            answers |= {
                name: {**answers[name], "healthy": True} for name in marks.rolled if name in answers
            }
        turn = rollout.RolloutStep(order, self.options["position"], self.name)
        gate = rollout.check_gate(turn, marks, self.options["healthy"], answers, asked)
        if not gate.stopped and not gate.errors and self.options["position"] < len(order):
            self._display.display(rollout.describe_step(turn, answers, check=self._task.check_mode))
        return {
            "faults": gate.errors,
            "stopped": gate.stopped,
            "blocked": gate.blocked,
            "attempt": secrets.token_hex(8),
            "handover": self._handover(
                answers[self.name]["process"],
                self._settings().kubeconfig_path,
                self.options["timeout"],
            )
            if gate.hands_over
            else None,
        }

    @staticmethod
    def _handover(process: Vars, kubeconfig: str, timeout: float) -> Vars:
        return {
            "kubeconfig": process["kubeconfig"] or kubeconfig,
            "name": process["lease_name"],
            "namespace": process["lease_namespace"],
            "lock": process["lock"],
            "timeout": timeout,
        }

    def _outcome(self) -> Vars:
        bound = self._seconds("bound")
        if self._task.check_mode:
            return {"faults": [], "rolled": True}
        answers, back = self._answers(), self.options["rolled_back"]
        if self.name not in answers:
            return {
                "faults": [f"{self.name}: it gave no answer that can be used after it was rolled"]
            }
        answer, handover = answers[self.name], self.options["handover"]
        faults = rollout.evaluate_roll(
            self.name,
            answer,
            version=self.options["version"],
            compared=self.options["compared"] and not back,
            rolled_back=back,
        )
        lines = rollout.describe_handover(self.name, handover, bound) if handover else []
        if not faults:
            what = "was rolled back" if back else "was rolled"
            lines.append(f"{self.name}: {what}, is healthy and runs {answer['process']['version']}")
        for line in lines:
            self._display.display(printable_line(line))
        return {"faults": faults, "rolled": not back}

    def _verdict(self) -> Vars:
        answers = self._answers()
        if self.name not in answers:
            return {"faults": [f"{self.name}: it gave no answer that can be used"]}
        rolled = self._settings().rollout and self.options["compared"]
        found = rollout.evaluate_member(
            self.name, answers, self._asked(), self.options["version"], rolled=rolled
        )
        return {"faults": found.errors, "not_checked": found.not_checked}

    def _status(self) -> Vars:
        inputs, lost = self._clusters()
        if not inputs:
            raise PlanError(
                "no host of this play has registered there what the step variables returned",
                option="inputs",
            )
        report = status.document([*self._seen(inputs), *self._unseen(lost)], base.stamp(base.now()))
        found = status.lines(report)
        # Not by debug, which folds and quotes lines.
        for text, state in found:
            self._display.display(text, color=COLOURS.get(state))
        for name, path in {
            (name, self._report_path(name, path))
            for data in inputs.values()
            for name, path in data["of_playbooks"].items()
            if name in REPORTS and not self._task.check_mode
        }:
            write.write(path, REPORTS[name](report).encode(), rights=write.rights_of(-1, -1, 0o644))
            self._display.display(f"written: {path}")
        return {"faults": status.faults(report), "lines": [text for text, _state in found]}

    def _clusters(self) -> tuple[dict[str, Vars], dict[str, list[str]]]:
        """What O(step=variables) returned for each cluster of this play; and the hosts of others, where it failed for all of them."""
        hostvars, there, option = (
            self.vars["hostvars"],
            self.vars["ansible_play_hosts"],
            f"{self.prefix}group",
        )
        inputs: dict[str, Vars] = {}
        known: set[str] = set()
        lost: list[str] = []
        for name in self.vars["ansible_play_hosts_all"]:
            data = None if name in known else hostvars.raw_get(name).get(self.options["inputs"])
            if isinstance(data, t.Mapping) and data.get("playing"):
                inputs[data["variables"]["group"]] = dict(data)
                known.update(data["playing"])
            elif name not in there:
                lost.append(name)
        others: dict[str, list[str]] = {}
        for name in lost:
            if name not in known:
                others.setdefault(
                    str(hostvars[name].get(option) or next(iter(inputs), "")), []
                ).append(name)
        return inputs, others

    def _seen(self, inputs: t.Mapping[str, Vars]) -> t.Iterator[status.Cluster]:
        tables, before = self._tables(), self.options["before"]
        for group, data in inputs.items():
            v, hosts = variables.Variables(**data["variables"]), self._hosts(data)
            answers = self._answers(hosts=hosts)
            yield status.cluster(
                group,
                answers,
                {name: hosts[name].get(self.options["plans"]) or {} for name in answers},
                self._asked(data),
                versions=tables.versions,
                settings=status.Settings(
                    variables.resolve_election(v, tables.lease_presets).timings(), v.renew_before
                ),
                before=self._answers("before", hosts) if before else {},
                notes=self._rotation_notes(data, answers),
            )

    def _rotation_notes(self, data: Vars, answers: t.Mapping[str, Vars]) -> list[str]:
        authorities = _authorities(data)
        if not authorities.next:
            return []
        return rotation.describe_progress(
            rotation.completed_steps(answers, authorities), self.prefix
        )

    def _unseen(self, lost: t.Mapping[str, list[str]]) -> t.Iterator[status.Cluster]:
        for group, names in lost.items():
            asked = rollout.PlayScope(names, names, [], names)
            yield status.cluster(group, {}, {}, asked, versions={}, settings=None)

    def _report_path(self, name: str, path: t.Any) -> str:
        """Where a report is to be written, on the controller. Raises PlanError where it cannot be."""
        if not isinstance(path, str) or not path:
            raise PlanError(f"{name}: is not a path; name the file that the report is written to")
        full = os.path.abspath(os.path.expanduser(path))
        try:
            target = paths.resolve(full)
            if not os.path.isdir(os.path.dirname(target)):
                raise FilesError(
                    f"the directory of {target!r} does not exist; create it, or name another file"
                )
            paths.guard(target)
            paths.regular(target)
        except FilesError as error:
            raise PlanError(f"{name}: on the controller: {error}") from None
        return full


def _named(name: str) -> Vars:
    """What of an instance goes by its name alone."""
    return {"unit": unit_name(name), "fileset_dir": fileset_dir(name)}


def _authorities(data: Vars) -> rotation.Authorities:
    """The CAs that step variables has read."""
    return rotation.Authorities(
        data["ca_cert_pem"], data["new_ca_cert_pem"] or "", data["apiserver_ca_pem"]
    )


def _certified(text: str | None) -> bool:
    """Whether nothing was given, or certificates that all can be read."""
    found = _certificate.parse((text or "").encode())
    return text is None or (bool(found) and None not in found)


def _running(answers: t.Mapping[str, Vars]) -> list[t.Any]:
    """How each member that runs elects now."""
    keys = ("version", "lock", "lease_name", "lease_namespace")
    return [
        {"hostname": answer["hostname"], **{key: answer["process"][key] for key in keys}}
        for answer in answers.values()
        if answer["process"]["pid"]
    ]


def _wanted(v: variables.Variables, found: plan.HostPlan) -> Vars:
    """What scheduler_info compares the host with."""
    pair: Vars = {"certificate_source": v.cert_source, "privatekey_source": v.key_source}
    if v.pki == "shared":
        made = {**found["certificate"], "path": v.cert_source, "privatekey_path": v.key_source}
        pair["x509_cert"] = {
            key: value for key, value in made.items() if key not in found["secret"]
        }
    return {
        "version": found["version"],
        "binary": found["binary"]["path"],
        "binary_source": v.binary_source,
        "log_dir": found["log_dir"],
        "certificate": found["certificate"] if v.pki in ("node", "external") else None,
        "pair": pair if v.pki in ("shared", "provided") else None,
        "kubeconfig": found["kubeconfig"],
        "files": found["files"],
        "settings": found["settings"],
    }
