// Copyright (c) 2026, the kube_ha.scheduler authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command verify reports the verdict of crypto/x509 about chains, as Kubernetes verifies the
// certificate of a client and of a server. Each line of the input is a JSON object with the DER of
// the certificates in Base64. Each line of the output is empty for an accepted chain, otherwise the
// error.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"time"
)

type chain struct {
	Leaf          []byte
	Intermediates [][]byte
	Anchors       [][]byte
	Now           int64
}

func (c chain) verify() error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, der := range c.Anchors {
		// As for the files of Kubernetes, a CA that cannot be parsed is ignored.
		roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	// As in a handshake, all certificates of the peer must be parsed.
	for _, der := range c.Intermediates {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		intermediates.AddCert(parsed)
	}
	leaf, err := x509.ParseCertificate(c.Leaf)
	if err != nil {
		return err
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots:         roots,
			Intermediates: intermediates,
			CurrentTime:   time.Unix(c.Now, 0),
			KeyUsages:     []x509.ExtKeyUsage{usage},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var c chain
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := c.verify(); err != nil {
			fmt.Printf("%q\n", err.Error())
		} else {
			fmt.Println()
		}
	}
}
