#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# examples/container, kubernetes and nomad: what gpuvm-entry finds on a made-up node, in the container's environment and files; manifests that
# fit together; and configurations in them that gpuvm takes. With GPUVM_KUBERNETES_OPENAPI=FILE, Kubernetes' own definitions (swagger.json),
# manifests are held against these, too. Usage: containers_test.sh GPUVM SOURCE_DIR
set -u
gpuvm=$1
source_dir=$2
entry=$source_dir/examples/container/gpuvm-entry
command -v bash >/dev/null || exit 77
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0
python=/usr/bin/python3
node=$folder/node
metadata=$node/var/run/kubernetes.io/dra-device-attributes

fail() {
  echo "FAILED: $1"
  failures=$((failures + 1))
}

# add_function ADDRESS CLASS GROUP
add_function() {
  mkdir -p "$node/sys/devices/$1" "$node/sys/bus/pci/devices" "$node/sys/kernel/iommu_groups/$3/devices"
  echo "$2" >"$node/sys/devices/$1/class"
  ln -s "../../kernel/iommu_groups/$3" "$node/sys/devices/$1/iommu_group"
  ln -s "../../../devices/$1" "$node/sys/bus/pci/devices/$1"
  ln -s "../../../../devices/$1" "$node/sys/kernel/iommu_groups/$3/devices/$1"
}

# gives NODES: the container's device nodes are these.
gives() {
  rm -rf "${node:?}/dev"
  mkdir -p "$node/dev/vfio/devices"
  for file in "$@"; do
    : >"$node/dev/$file"
  done
}

# ran EXPECTED ARGUMENT...: what gpuvm is started with.
ran() {
  expected=$1
  shift
  got=$(GPUVM=echo GPUVM_ROOT=$node "$entry" "$@" 2>&1) || fail "gpuvm-entry $*: status $?, $got"
  [ "$got" = "$expected" ] || fail "gpuvm-entry $*: starts '$got', not '$expected'"
}

# refused STATUS TEXT ARGUMENT...
refused() {
  wanted=$1
  text=$2
  shift 2
  got=$(GPUVM=echo GPUVM_ROOT=$node "$entry" "$@" 2>&1)
  status=$?
  [ "$status" -eq "$wanted" ] || fail "gpuvm-entry $*: status $status, not $wanted"
  case $got in *"$text"*) ;; *) fail "gpuvm-entry $*: says '$got', not '$text'" ;; esac
}

add_function 0000:00:01.0 0x060400 11
add_function 0000:01:00.1 0x040300 11
add_function 0000:01:00.0 0x030000 11
add_function 0000:41:00.0 0x030200 27
add_function 0000:40:01.0 0x060400 28
add_function 0000:42:00.0 0x020000 28

# By groups.
gives kvm vfio/vfio vfio/11
ran 'test --set pci.0.host=0000:01:00.0 --set pci.0.managed=false guest.toml -- make' test guest.toml -- make
gives kvm vfio/vfio vfio/27 vfio/28 vfio/11
ran '0000:01:00.0
0000:41:00.0
0000:42:00.0' cards
ran 'check guest.toml' check guest.toml
ran 'run --set pci.0.host=0000:01:00.0 --set pci.0.managed=false --set pci.1.host=0000:41:00.0 --set pci.1.managed=false --set pci.2.host=0000:42:00.0 --set pci.2.managed=false guest.toml' \
  run guest.toml
gives kvm
ran 'run guest.toml' run guest.toml

# By the environment, and by files of DRA drivers; those together, and then groups count no more.
gives kvm vfio/vfio vfio/27 vfio/28 vfio/11
PCI_RESOURCE_NVIDIA_COM_GA102GL_A10=0000:41:00.0
PCI_RESOURCE_NVIDIA_COM_GA102GL_A10_NUMA=0
PCIDEVICE_EXAMPLE_COM_NIC_INFO=0000:01:00.0
export PCI_RESOURCE_NVIDIA_COM_GA102GL_A10 PCI_RESOURCE_NVIDIA_COM_GA102GL_A10_NUMA PCIDEVICE_EXAMPLE_COM_NIC_INFO
ran '0000:41:00.0' cards
PCIDEVICE_EXAMPLE_COM_NIC=0000:42:00.0,0000:41:00.0
export PCIDEVICE_EXAMPLE_COM_NIC
ran '0000:41:00.0
0000:42:00.0' cards
unset PCI_RESOURCE_NVIDIA_COM_GA102GL_A10 PCI_RESOURCE_NVIDIA_COM_GA102GL_A10_NUMA
mkdir -p "$metadata/resourceclaimtemplates/card/gpu"
cat >"$metadata/resourceclaimtemplates/card/gpu/gpu.nvidia.com-metadata.json" <<'END'
{
  "kind": "DeviceMetadata",
  "apiVersion": "metadata.resource.k8s.io/v1alpha1",
  "metadata": { "name": "gpu-test-card-x7k2p", "namespace": "default", "uid": "6f9c" },
  "podClaimName": "card",
  "requests": [
    { "name": "gpu", "devices": [ { "driver": "gpu.nvidia.com", "pool": "node-1", "name": "gpu-vfio-0", "attributes": {
      "type": { "string": "vfio" },
      "resource.kubernetes.io/pciBusID": { "string": "0000:01:00.0" },
      "resource.kubernetes.io/pcieRoot": { "string": "pci0000:00" } } } ] }
  ]
}
END
ran '0000:01:00.0
0000:41:00.0
0000:42:00.0' cards
unset PCIDEVICE_EXAMPLE_COM_NIC PCIDEVICE_EXAMPLE_COM_NIC_INFO
ran '0000:01:00.0' cards
tr -d ' \n' <"$metadata/resourceclaimtemplates/card/gpu/gpu.nvidia.com-metadata.json" >"$folder/compact"
cat "$folder/compact" "$folder/compact" >"$metadata/resourceclaimtemplates/card/gpu/gpu.nvidia.com-metadata.json"
ran '0000:01:00.0' cards
GPUVM_CARDS=0000:41:00.0
export GPUVM_CARDS
ran '0000:41:00.0' cards
GPUVM_CARDS='0000:41:00.0 --help'
refused 69 'is no PCI address' run guest.toml
unset GPUVM_CARDS

# What is not there, with its cure.
gives kvm vfio/vfio vfio/27
refused 122 '0000:01:00.0 was given to this container, but /dev/vfio/11 was not' test guest.toml
gives kvm vfio/11
refused 69 'enableAPIDevice' run guest.toml
gives vfio/vfio vfio/11
refused 69 '/dev/kvm' run guest.toml
rm -r "$metadata"
gives kvm vfio/devices/vfio0
refused 122 'LegacyOnly' test guest.toml
gives kvm vfio/vfio vfio/99
refused 69 'names no function' run guest.toml

# Manifests.
"$python" -c 'import yaml' 2>/dev/null || { [ "$failures" -eq 0 ] && exit 0 || exit 1; }
"$python" - "$source_dir/examples" "$folder" <<'END' || fail 'manifests'
import pathlib, sys
import yaml

examples, folder = map(pathlib.Path, sys.argv[1:])
documents = {}
for path in sorted((examples / "kubernetes").glob("*.yaml")):
    for document in yaml.safe_load_all(path.read_text()):
        documents[document["kind"], document["metadata"]["name"]] = document
pods = [documents["Pod", "gpu-test"]["spec"], documents["Job", "gpu-test"]["spec"]["template"]["spec"]]
guest = documents["ConfigMap", "gpuvm-guest"]["data"]["guest.toml"]
(folder / "guest.toml").write_text(guest)
for pod in pods:
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    (container,) = pod["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert set(mounts.values()) == set(volumes), pod
    assert volumes[mounts["/config"]]["configMap"]["name"] == "gpuvm-guest"
    assert container["args"][0] == "test" and container["args"][-1] == "/config/guest.toml"
    assert pod["restartPolicy"] == "Never" and pod["terminationGracePeriodSeconds"] >= 60
    assert "IPC_LOCK" in container["securityContext"]["capabilities"]["add"]
    assert "privileged" not in container["securityContext"]
    for word in guest.split():
        if word.startswith('"/'):
            assert any(word[1:].startswith(mount + "/") for mount in mounts), word
pod, job = pods
assert pod["securityContext"]["runAsNonRoot"] and pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"]
limits = pod["containers"][0]["resources"]["limits"]
assert any(name.startswith("nvidia.com/") for name in limits) and any(name.endswith("/kvm") for name in limits)
# The claim, its template, its class and the driver's parameters.
(claim,) = job["containers"][0]["resources"]["claims"]
(source,) = job["resourceClaims"]
assert claim["name"] == source["name"]
devices = documents["ResourceClaimTemplate", source["resourceClaimTemplateName"]]["spec"]["spec"]["devices"]
(request,) = devices["requests"]
(config,) = devices["config"]
assert request["exactly"]["deviceClassName"] == "vfio.gpu.nvidia.com" and config["requests"] == [request["name"]]
assert config["opaque"]["driver"] == "gpu.nvidia.com" and config["opaque"]["parameters"]["kind"] == "VfioDeviceConfig"
assert config["opaque"]["parameters"]["iommu"] == {"backendPolicy": "LegacyOnly", "enableAPIDevice": True}
for rule in documents["Job", "gpu-test"]["spec"]["podFailurePolicy"]["rules"]:
    codes = rule.get("onExitCodes", {}).get("values", [])
    assert codes == sorted(set(codes)), "values must be in order"
END

# Nomad's job: blocks and attributes, without an evaluation, are those that its API and its Docker driver have.
"$python" - "$source_dir/examples/nomad/gpu-test.nomad.hcl" "$folder" <<'END' || fail "Nomad's job"
import pathlib, re, sys, textwrap

known = {
    "": {"variable", "job"}, "variable": {"type", "description"}, "job": {"type", "constraint", "group"},
    "constraint": {"attribute", "operator", "value"}, "group": {"restart", "reschedule", "network", "task"},
    "restart": {"attempts", "mode"}, "reschedule": {"attempts", "unlimited"}, "network": {"port"}, "port": {"static"},
    "task": {"driver", "kill_signal", "kill_timeout", "config", "template", "resources"},
    "config": {"image", "args", "devices", "cap_drop", "cap_add", "ulimit", "volumes"}, "ulimit": {"memlock", "nofile"},
    "template": {"destination", "data"}, "resources": {"cores", "memory"},
}
text = pathlib.Path(sys.argv[1]).read_text()
heredoc = re.search(r"<<-(\w+)\n(.*?)\n\s*\1\n", text, re.S)
(pathlib.Path(sys.argv[2]) / "nomad.toml").write_text(textwrap.dedent(heredoc[2]) + "\n")
text = text[: heredoc.start()] + '""\n' + text[heredoc.end() :]
stack = [""]
depth = 0  # of lists
for number, line in enumerate(text.split("\n"), 1):
    line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
    line = line.split("#")[0].strip()
    if not line:
        continue
    block = re.fullmatch(r'([a-z_]+)( "")* \{', line)
    attribute = re.fullmatch(r'([a-z_]+) += (.+)', line)
    if depth == 0 and (block or attribute):
        name = (block or attribute)[1]
        assert name in known[stack[-1]], f"line {number}: {name} in {stack[-1] or 'the file'}"
    if block and depth == 0:
        stack.append(name)
    elif line == "}" and depth == 0:
        stack.pop()
    else:
        assert depth or attribute, f"line {number}: {line}"
        depth += line.count("[") + line.count("{") - line.count("]") - line.count("}")
assert stack == [""] and depth == 0
END
for guest in guest.toml nomad.toml; do
  "$gpuvm" validate "$folder/$guest" >"$folder/said" 2>&1 || fail "$guest: $(cat "$folder/said")"
done
gives kvm vfio/vfio vfio/27
GPUVM=$gpuvm GPUVM_ROOT=$node "$entry" validate "$folder/guest.toml" >"$folder/said" 2>&1 || fail "with a card: $(cat "$folder/said")"

if [ -n "${GPUVM_KUBERNETES_OPENAPI:-}" ]; then
  "$python" - "$GPUVM_KUBERNETES_OPENAPI" "$source_dir"/examples/kubernetes/*.yaml <<'END' || fail "manifests and Kubernetes' definitions"
import json, sys
import jsonschema, yaml

definitions = json.load(open(sys.argv[1]))["definitions"]
for definition in definitions.values():
    if "properties" in definition:
        definition.setdefault("additionalProperties", False)
definitions["io.k8s.apimachinery.pkg.runtime.RawExtension"] = {"type": "object"}
kinds = {}
for name, definition in definitions.items():
    for kind in definition.get("x-kubernetes-group-version-kind", []):
        kinds["/".join(filter(None, (kind["group"], kind["version"]))), kind["kind"]] = name
failures = 0
for path in sys.argv[2:]:
    for document in yaml.safe_load_all(open(path)):
        name = kinds[document["apiVersion"], document["kind"]]
        validator = jsonschema.Draft4Validator({"definitions": definitions, "$ref": "#/definitions/" + name})
        for error in validator.iter_errors(document):
            print(path, ".".join(map(str, error.absolute_path)), error.message[:200])
            failures += 1
        assert list(validator.iter_errors({**document, "metadata": {"nmae": "x"}})), "the definitions take anything"
sys.exit(failures != 0)
END
fi

[ "$failures" -eq 0 ]
