#!/bin/sh
# sh -s -- VERSION OWNER LINK: restore the state before a first run on a host. The benchmark does
# not measure this script.
set -eu
version=$1 owner=$2 link=$3

systemctl disable --now --quiet kube-scheduler.service 2>/dev/null || true
for directory in /etc/kubernetes /etc/systemd/system /opt/k8s /var/lib/kube-ha /var/log/kubernetes; do
    [ ! -e "$directory" ] ||
        find "$directory" -depth -name '*kube-scheduler*' ! -name "kube-scheduler-v$version" -exec rm -rf {} +
done
systemctl daemon-reload
systemctl reset-failed kube-scheduler.service 2>/dev/null || true

# The walk-through copies the kubeconfig as its user. The other contestants need a directory that
# root owns.
mkdir -p /etc/kubernetes/cert
chown "$owner" /etc/kubernetes
# This link has no version. Contestants that create the link themselves do not get it.
[ "$link" = no ] || ln -s "kube-scheduler-v$version" /opt/k8s/bin/kube-scheduler
