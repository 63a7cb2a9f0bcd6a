#!/usr/bin/env bash
# The walk-through's own commands, in its order, run in an empty folder. What differs: its JSON and unit are for the masters of
# the lab and for flags that the newest version takes, and ssh and scp are told the lab's key. Nothing else is told to them: no
# connection is shared, as a person has it who types this.
#   CA_DIR, SSH_CONFIG, KUBE_APISERVER, NODE_IPS ("IP IP …") come from the environment.
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

# --address, --alsologtostderr, --logtostderr and --log-dir are gone; --bind-address is what became of the first.
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
