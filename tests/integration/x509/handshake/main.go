// Copyright (c) 2026, the kube_ha.scheduler authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command handshake performs TLS handshakes as Kubernetes does. A key pair has the role of the
// server, the client or both. Each line of the input is: CA, certificate, key, the server's name or
// "-", and "client" if the certificate is a client's, otherwise "-".
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
)

func shake(ca, certificate, key, name, client string) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("no CA in %s", ca)
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return err
	}
	helper, err := tls.LoadX509KeyPair(os.Args[1], os.Args[2])
	if err != nil {
		return err
	}
	server := &tls.Config{Certificates: []tls.Certificate{helper}, ClientCAs: pool}
	dial := &tls.Config{RootCAs: pool, ServerName: "helper.example"}
	if name != "-" {
		server.Certificates, dial.ServerName = []tls.Certificate{pair}, name
	}
	if client == "client" {
		server.ClientAuth, dial.Certificates = tls.RequireAndVerifyClientCert, []tls.Certificate{pair}
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	done := make(chan error, 1)
	go func() {
		connection := tls.Server(near, server)
		err := connection.Handshake()
		if err == nil {
			_, err = connection.Write([]byte("x"))
		}
		done <- err
	}()
	connection := tls.Client(far, dial)
	if err := connection.Handshake(); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if _, err := connection.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if err := <-done; err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return nil
}

func main() {
	failed := false
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if err := shake(fields[0], fields[1], fields[2], fields[3], fields[4]); err != nil {
			failed = true
			fmt.Println(lines.Text(), err)
		}
	}
	if failed {
		os.Exit(1)
	}
}
