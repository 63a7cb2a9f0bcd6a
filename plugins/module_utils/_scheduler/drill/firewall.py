# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Compute and find the rules of the packet filter that separate a scheduler from its apiserver.

With nftables, the kernel ends the rules automatically, because the matched addresses are in a set
whose elements have a timeout. The rules of iptables do not expire, so a command must remove them.
"""

from __future__ import annotations

import shlex
import shutil
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import CollectionError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import one_line
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.systemd import (
    Runner,
)

RULE_COMMENT = "kube-ha-drill"
"""Comment of each iptables rule of a drill."""
NFT_TABLE = "inet kube_ha_drill"
INJECTION_LOCK_S = 30
"""Maximum seconds to wait for the lock of iptables at the injection."""
REMOVAL_LOCK_S = 10
"""The same at the removal, which is tried again."""
COMMAND_TIMEOUT_S = 40
BUSY_EXIT_CODE = 4
"""Exit code of iptables if another command holds the lock."""
IPTABLES = {"ip": "iptables", "ip6": "ip6tables"}


class FirewallError(CollectionError):
    """The packet filter of the host cannot be queried, or it has no suitable command."""


class Destination(t.NamedTuple):
    """An address of the apiserver. The family is ip or ip6, as in nftables."""

    family: str
    address: str
    port: int


class FirewallPlan(t.NamedTuple):
    """The shell commands that add the rules, and those that remove them.

    If a removal fails, it sets the shell variable `failed` to 1.
    """

    tool: str
    injection: list[str]
    removal: list[str]


class Firewall:
    """The packet filter of the host."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def plan(self, uid: int, destinations: t.Sequence[Destination], seconds: int) -> FirewallPlan:
        """Plan the rules that drop the packets of a user to the destinations for some seconds.

        Raises FirewallError if the host has no command for one of the families.
        """
        ruleset = nft_ruleset(uid, destinations, seconds)
        if shutil.which("nft") and self._call("nft", "--check", ruleset)[0] == 0:
            return FirewallPlan("nft", [shlex.join(["nft", ruleset])], nft_removal())
        rules = [iptables_rule(uid, destination) for destination in destinations]
        for command, *_rule in rules:
            if shutil.which(command) is None:
                raise FirewallError(
                    f"{command} is missing on this host; install it, or use stop, kill or freeze"
                )
        injection = [_with_lock([rule[0], "-I", *rule[1:]], INJECTION_LOCK_S) for rule in rules]
        return FirewallPlan(
            rules[0][0], injection, [line for rule in rules for line in iptables_removal(rule)]
        )

    def find_removal(self) -> list[str]:
        """Return the shell commands that remove the rules of earlier drills; empty for none.

        Raises FirewallError if another command holds the lock of iptables.
        """
        commands = []
        if shutil.which("nft") and self._call("nft", "list", "table", *NFT_TABLE.split())[0] == 0:
            commands += nft_removal()
        for command in IPTABLES.values():
            if shutil.which(command) is not None:
                for rule in self._marked_rules(command):
                    commands += iptables_removal(rule)
        return commands

    def _marked_rules(self, command: str) -> list[list[str]]:
        code, out, err = self._call(command, "-w", str(REMOVAL_LOCK_S), "-S", "OUTPUT")
        if code == BUSY_EXIT_CODE:
            raise FirewallError(
                f"{command} cannot list the rules of this host ({one_line(err or out)});"
                " end the command that changes the packet filter, then run again"
            )
        # Without support of the kernel, there are no rules.
        lines = out.splitlines() if code == 0 else []
        rules = [shlex.split(line) for line in lines if RULE_COMMENT in line]
        return [
            [command, *words[1:]]
            for words in rules
            if words[0] == "-A" and ("--comment", RULE_COMMENT) in zip(words, words[1:])
        ]

    def _call(self, *words: str) -> tuple[int, str, str]:
        return self._run(["timeout", "-k", "5", str(COMMAND_TIMEOUT_S), *words])


def nft_ruleset(uid: int, destinations: t.Sequence[Destination], seconds: int) -> str:
    """Return the table for nftables. The kernel counts the seconds by its monotonic clock."""
    sets, rules = [], []
    for family in IPTABLES:
        elements = ", ".join(f"{d.address} . {d.port}" for d in destinations if d.family == family)
        if elements:
            name = f"apiserver_{family}"
            kind = "ipv4_addr" if family == "ip" else "ipv6_addr"
            sets.append(
                f"set {name} {{ type {kind} . inet_service; flags timeout; timeout {seconds}s;"
                f" elements = {{ {elements} }}; }}"
            )
            rules.append(f"meta skuid {uid} {family} daddr . tcp dport @{name} drop")
    hook = "type filter hook output priority 0; policy accept;"
    return "\n".join([f"table {NFT_TABLE} {{", *sets, "chain output {", hook, *rules, "}", "}"])


def nft_removal() -> list[str]:
    """Return the commands that remove the table, and check that it is gone."""
    return [
        f"nft delete table {NFT_TABLE} 2>/dev/null",
        f"nft list table {NFT_TABLE} >/dev/null 2>&1 && failed=1",
    ]


def iptables_rule(uid: int, destination: Destination) -> list[str]:
    """Return the rule for one destination: command, chain, match and target."""
    to = ["OUTPUT", "-p", "tcp", "-d", destination.address, "--dport", str(destination.port)]
    owner = ["-m", "owner", "--uid-owner", str(uid)]
    comment = ["-m", "comment", "--comment", RULE_COMMENT]
    return [IPTABLES[destination.family], *to, *owner, *comment, "-j", "DROP"]


def iptables_removal(rule: t.Sequence[str]) -> list[str]:
    """Return the commands that remove a rule, and check that it is gone.

    Only exit code 1 means that there is no such rule. If another command holds the lock, the exit
    code is 4, for both commands.
    """
    command, *match = rule
    return [
        _with_lock([command, "-D", *match], REMOVAL_LOCK_S),
        _with_lock([command, "-C", *match], REMOVAL_LOCK_S) + " 2>/dev/null",
        "[ $? = 1 ] || failed=1",
    ]


def _with_lock(words: t.Sequence[str], seconds: int) -> str:
    """Return an iptables command that waits while another command changes the rules."""
    limit = ["timeout", "-k", "5", str(seconds + 10)]
    return shlex.join([*limit, words[0], "-w", str(seconds), *words[1:]])
