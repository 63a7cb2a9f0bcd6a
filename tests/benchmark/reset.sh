#!/bin/sh
# sh -s -- VERSION OWNER LINK: restore the state before a first run on a host. Not measured.
set -eu
version=$1 owner=$2 link=$3

systemctl disable --now --quiet kube-scheduler.service 2>/dev/null || true
for directory in /etc/kubernetes /etc/systemd/system /opt/k8s /var/lib/kube-ha /var/log/kubernetes; do
    [ ! -e "$directory" ] ||
        find "$directory" -depth -name '*kube-scheduler*' ! -name "kube-scheduler-v$version" -exec rm -rf {} +
done
systemctl daemon-reload
systemctl reset-failed kube-scheduler.service 2>/dev/null || true

# The walk-through copies the kubeconfig as its user. The others need a directory of root.
mkdir -p /etc/kubernetes/cert
chown "$owner" /etc/kubernetes
# The link without a version, for contestants that do not create it.
[ "$link" = no ] || ln -s "kube-scheduler-v$version" /opt/k8s/bin/kube-scheduler
