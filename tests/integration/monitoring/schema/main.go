// Copyright (c) 2026, the kube_ha.scheduler authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Reads a dashboard from stdin and prints each error of Grafana's own schema on one line.
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
	// The result is never nil. If the dashboard is valid, the result is empty.
	if err := found.UnmarshalJSONStrict(raw); err != nil && err.Error() != "" {
		fmt.Println(err)
		return
	}
	if err := found.Validate(); err != nil && err.Error() != "" {
		fmt.Println(err)
	}
}
