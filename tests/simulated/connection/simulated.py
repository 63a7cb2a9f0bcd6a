"""The connection to a simulated master: a local one that breaks for good after as many module runs as the file `lost` in its folder says."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = """
name: simulated
short_description: Reach a simulated master
description: Runs commands on the controller, as the connection local does, until the master is lost.
options:
  home:
    description: The master's folder.
    vars:
      - name: simulated_home
  become_success_timeout:
    description: Has to be there.
    type: int
    default: 10
  become_strip_preamble:
    description: Has to be there.
    type: bool
    default: true
extends_documentation_fragment:
  - connection_pipelining
"""


class Connection(Local):
    transport = "simulated"

    def exec_command(self, *args: Any, **options: Any) -> Any:
        home = str(self.get_option("home"))
        lost, calls = os.path.join(home, "lost"), os.path.join(home, "calls.txt")
        if os.path.exists(lost):
            with open(lost, encoding="utf-8") as limit, open(calls, encoding="utf-8") as made:
                if len(made.readlines()) >= int(limit.read()):
                    raise AnsibleConnectionFailure(f"{os.path.basename(home)} is lost")
        return super().exec_command(*args, **options)
