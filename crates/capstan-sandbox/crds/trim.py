#!/usr/bin/env python3
"""Trims upstream's CustomResourceDefinitions for the sandbox: `trim.py CAPI CAPO ORC CERT_MANAGER`.

The arguments are directories with the sources of the Go modules (see README.md for the versions).
Only the newest served version is kept, descriptions go, the labels of upstream's kustomizations
(contract versions, provider) are added, and each definition becomes one compact JSON file.
"""
import json, pathlib, sys, yaml

capi, capo, orc, cert_manager = map(pathlib.Path, sys.argv[1:])
here = pathlib.Path(__file__).parent
CONTRACT = {"cluster.x-k8s.io/v1beta1": "v1beta1", "cluster.x-k8s.io/v1beta2": "v1beta2"}


def without_descriptions(schema):
    if isinstance(schema, list):
        return [without_descriptions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: ({name: without_descriptions(value) for name, value in value.items()} if key == "properties"
                  else value if key in ("default", "enum", "example", "x-kubernetes-validations")
                  else without_descriptions(value))
            for key, value in schema.items() if not (key == "description" and isinstance(value, str))}


def trim(path, provider, contract, version=None):
    crd = yaml.safe_load(path.read_text())
    served = [v for v in crd["spec"]["versions"] if v["served"]]
    kept = next(v for v in served if (v["name"] == version if version else v["storage"]))
    kept["storage"] = True
    kept["schema"]["openAPIV3Schema"] = without_descriptions(kept["schema"]["openAPIV3Schema"])
    crd["spec"]["versions"] = [kept]
    crd["spec"].pop("conversion", None)
    crd.pop("status", None)
    labels = crd["metadata"].setdefault("labels", {})
    if provider:
        labels |= {"cluster.x-k8s.io/provider": provider, "clusterctl.cluster.x-k8s.io": ""}
    labels |= contract
    (here / (crd["metadata"]["name"] + ".json")).write_text(json.dumps(crd, separators=(",", ":")) + "\n")


def bases(directory, names, provider=None, contract={}):
    for name in names.split():
        trim(directory / f"{name}.yaml", provider, contract)


bases(capi / "core/config/crd/bases",
      "cluster.x-k8s.io_clusters cluster.x-k8s.io_clusterclasses cluster.x-k8s.io_machinedeployments "
      "cluster.x-k8s.io_machinehealthchecks cluster.x-k8s.io_machinepools cluster.x-k8s.io_machines "
      "cluster.x-k8s.io_machinesets cluster.x-k8s.io_machinedrainrules", "cluster-api", CONTRACT)
bases(capi / "bootstrap/kubeadm/config/crd/bases",
      "bootstrap.cluster.x-k8s.io_kubeadmconfigs bootstrap.cluster.x-k8s.io_kubeadmconfigtemplates",
      "bootstrap-kubeadm", CONTRACT)
bases(capi / "controlplane/kubeadm/config/crd/bases",
      "controlplane.cluster.x-k8s.io_kubeadmcontrolplanes controlplane.cluster.x-k8s.io_kubeadmcontrolplanetemplates",
      "control-plane-kubeadm", CONTRACT)
trim(capi / "cmd/clusterctl/config/crd/bases/clusterctl.cluster.x-k8s.io_providers.yaml", None,
     {"clusterctl.cluster.x-k8s.io": "", "clusterctl.cluster.x-k8s.io/core": "inventory"})
for name in ("openstackclusters openstackclustertemplates openstackmachines openstackmachinetemplates "
             "openstackservers openstackfloatingippools openstackclusteridentities").split():
    path = capo / "config/crd/bases" / f"infrastructure.cluster.x-k8s.io_{name}.yaml"
    trim(path, "infrastructure-openstack", {"cluster.x-k8s.io/v1beta1": "v1beta1"})
bases(orc / "config/crd/bases", "openstack.k-orc.cloud_images")
bases(cert_manager / "deploy/crds",
      "cert-manager.io_certificates cert-manager.io_certificaterequests cert-manager.io_issuers "
      "cert-manager.io_clusterissuers acme.cert-manager.io_challenges acme.cert-manager.io_orders")
