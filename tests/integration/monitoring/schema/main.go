// Copyright (c) 2026, the kube_ha.scheduler authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Reads a dashboard from stdin and prints what Grafana's own schema finds wrong with it, a fault a line.
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	raw, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	found := dashboard.Dashboard{}
	// What it returns is never nil, but empty where nothing is wrong.
	if err := found.UnmarshalJSONStrict(raw); err != nil && err.Error() != "" {
		fmt.Println(err)
		return
	}
	if err := found.Validate(); err != nil && err.Error() != "" {
		fmt.Println(err)
	}
}
