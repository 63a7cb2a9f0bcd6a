#!/bin/sh
# Takes a master of the benchmark back to where a first run starts; not measured. Read by `sh -s -- VERSION OWNER LINK` on the master.
set -eu
version=$1 owner=$2 link=$3

systemctl disable --now --quiet kube-scheduler.service 2>/dev/null || true
for folder in /etc/kubernetes /etc/systemd/system /opt/k8s /var/lib/kube-ha /var/log/kubernetes; do
    [ ! -e "$folder" ] || find "$folder" -depth -name '*kube-scheduler*' ! -name "kube-scheduler-v$version" -exec rm -rf {} +
done
systemctl daemon-reload
systemctl reset-failed kube-scheduler.service 2>/dev/null || true

# The walk-through's user copies the kubeconfig himself; nobody else wants a folder that this user may write.
mkdir -p /etc/kubernetes/cert
chown "$owner" /etc/kubernetes
# The binary's name without a version: of those that do not install the binary themselves.
[ "$link" = no ] || ln -s "kube-scheduler-v$version" /opt/k8s/bin/kube-scheduler
