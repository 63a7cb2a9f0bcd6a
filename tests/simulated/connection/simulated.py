"""Connect to a simulated host with a local connection that can fail.

The connection fails after as many module runs as the file `lost` in the host's directory contains.
"""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = """
name: simulated
short_description: Connect to a simulated host
description: Runs commands on the controller, as the connection local does, until the host is lost.
options:
  home:
    description: Directory of the host.
    vars:
      - name: simulated_home
  become_success_timeout:
    description: Required by Ansible.
    type: int
    default: 10
  become_strip_preamble:
    description: Required by Ansible.
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
