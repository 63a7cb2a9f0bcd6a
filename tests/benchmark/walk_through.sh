#!/usr/bin/env bash
# This script runs the commands of the walk-through, in the same order, in an empty directory. It
# differs in three points. JSON and unit use the hosts of the lab and the flags of the newest
# version. ssh and scp use the lab's key and known hosts. No two calls share a connection, because a
# user types them one by one. The environment must contain CA_DIR, SSH_CONFIG, KUBE_APISERVER and
# NODE_IPS ("IP IP …").
set -euo pipefail
read -ra NODE_IPS <<<"$NODE_IPS"
ssh() { command ssh -F "$SSH_CONFIG" "$@"; }
scp() { command scp -F "$SSH_CONFIG" "$@"; }

cat > kube-scheduler-csr.json <<EOF
{
    "CN": "system:kube-scheduler",
    "hosts": [
      "127.0.0.1"$(printf ',\n      "%s"' "${NODE_IPS[@]}")
    ],
    "key": {
        "algo": "rsa",
        "size": 2048
    },
    "names": [
      {
        "C": "CN",
        "ST": "BeiJing",
        "L": "BeiJing",
        "O": "system:kube-scheduler",
        "OU": "4Paradigm"
      }
    ]
}
EOF

cfssl gencert -ca="$CA_DIR/ca.pem" \
  -ca-key="$CA_DIR/ca-key.pem" \
  -config="$CA_DIR/ca-config.json" \
  -profile=kubernetes kube-scheduler-csr.json | cfssljson -bare kube-scheduler

kubectl config set-cluster kubernetes \
  --certificate-authority="$CA_DIR/ca.pem" \
  --embed-certs=true \
  --server="${KUBE_APISERVER}" \
  --kubeconfig=kube-scheduler.kubeconfig

kubectl config set-credentials system:kube-scheduler \
  --client-certificate=kube-scheduler.pem \
  --client-key=kube-scheduler-key.pem \
  --embed-certs=true \
  --kubeconfig=kube-scheduler.kubeconfig

kubectl config set-context system:kube-scheduler \
  --cluster=kubernetes \
  --user=system:kube-scheduler \
  --kubeconfig=kube-scheduler.kubeconfig

kubectl config use-context system:kube-scheduler --kubeconfig=kube-scheduler.kubeconfig

for node_ip in "${NODE_IPS[@]}"
  do
    echo ">>> ${node_ip}"
    scp kube-scheduler.kubeconfig "k8s@${node_ip}:/etc/kubernetes/"
  done

# The newest version does not support --address (now --bind-address), --alsologtostderr,
# --logtostderr and --log-dir.
cat > kube-scheduler.service <<EOF
[Unit]
Description=Kubernetes Scheduler
Documentation=https://github.com/GoogleCloudPlatform/kubernetes

[Service]
ExecStart=/opt/k8s/bin/kube-scheduler \\
  --bind-address=127.0.0.1 \\
  --kubeconfig=/etc/kubernetes/kube-scheduler.kubeconfig \\
  --leader-elect=true \\
  --v=2
Restart=on-failure
RestartSec=5
User=k8s

[Install]
WantedBy=multi-user.target
EOF

for node_ip in "${NODE_IPS[@]}"
  do
    echo ">>> ${node_ip}"
    scp kube-scheduler.service "root@${node_ip}:/etc/systemd/system/"
  done

for node_ip in "${NODE_IPS[@]}"
  do
    echo ">>> ${node_ip}"
    ssh "root@${node_ip}" "mkdir -p /var/log/kubernetes && chown -R k8s /var/log/kubernetes"
    ssh "root@${node_ip}" "systemctl daemon-reload && systemctl enable kube-scheduler && systemctl restart kube-scheduler"
  done

for node_ip in "${NODE_IPS[@]}"
  do
    echo ">>> ${node_ip}"
    ssh "k8s@${node_ip}" "systemctl status kube-scheduler|grep Active"
  done
