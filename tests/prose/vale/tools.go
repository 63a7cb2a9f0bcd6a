//go:build tools

package tools

import _ "github.com/vale-cli/vale/v3/cmd/vale"
