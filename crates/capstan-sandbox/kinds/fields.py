#!/usr/bin/env python3
"""Writes builtin.txt, the fields of Kubernetes' built-in kinds: `fields.py GOMODCACHE VERSION`, `fields.py ~/go/pkg/mod v0.36.3`.

Read are the struct tags of the Go types, which say JSON name, number in protobuf, and what is inlined, and the comments
that say how lists are merged. Only types that a kind in the sandbox's table leads to are kept. README.md says what a line means.
"""
import pathlib, re, sys

root, version = pathlib.Path(sys.argv[1]) / "k8s.io", sys.argv[2]
here = pathlib.Path(__file__).parent
SOURCES = {f"{group}/{v}": f"api@{version}/{group}/{v}" for group, v in [
    ("core", "v1"), ("apps", "v1"), ("batch", "v1"), ("networking", "v1"), ("policy", "v1"), ("rbac", "v1"),
    ("scheduling", "v1"), ("storage", "v1"), ("coordination", "v1"), ("discovery", "v1"), ("events", "v1"),
    ("authentication", "v1"), ("authorization", "v1"), ("autoscaling", "v1"), ("autoscaling", "v2"), ("admissionregistration", "v1")]}
SOURCES |= {"meta/v1": f"apimachinery@{version}/pkg/apis/meta/v1",
            "apiextensions/v1": f"apiextensions-apiserver@{version}/pkg/apis/apiextensions/v1",
            "apiregistration/v1": f"kube-aggregator@{version}/pkg/apis/apiregistration/v1"}
SPECIAL = {"meta/v1.Time": "time", "meta/v1.MicroTime": "time", "meta/v1.FieldsV1": "raw", "meta/v1.Duration": "duration",
           "resource.Quantity": "quantity", "intstr.IntOrString": "int-or-string", "runtime.RawExtension": "raw",
           "types.UID": "string", "types.NodeName": "string", "apiextensions/v1.JSON": "raw",
           "apiextensions/v1.JSONSchemaProps": "raw"}
BASIC = {"string": "string", "bool": "bool", "int": "int", "int32": "int", "int64": "int", "uint32": "int", "float64": "float", "byte": "byte"}

structs, aliases = {}, {}
for package, folder in SOURCES.items():
    for path in sorted((root / folder).glob("*.go")):
        if "generated" in path.name or path.name.endswith("_test.go"):
            continue
        text = path.read_text()
        imports = {alias or target.split("/")[-1]: target for alias, target in re.findall(r'^(?:import )?\s*(\w+)?\s*"([\w./-]+)"$', text, re.M)}
        for match in re.finditer(r"^type (\w+) struct ?\{(?:\}|(.*?)^\})$", text, re.M | re.S):
            structs[f"{package}.{match[1]}"] = (match[2] or "", imports, package)
        for match in re.finditer(r"^type (\w+) ((?:\[\]|map\[|\w)[\w.\[\]*]*)$", text, re.M):
            aliases[f"{package}.{match[1]}"] = (match[2] or "", imports, package)


def qualified(name, imports, package):
    if "." not in name:
        return f"{package}.{name}"
    alias, name = name.split(".")
    target = imports.get(alias, alias)
    for known, folder in SOURCES.items():
        if target.endswith("/" + "/".join(folder.split("@")[1].split("/")[1:])) and folder.split("@")[0] in target:
            return f"{known}.{name}"
    return f"{target.split('/')[-1]}.{name}"


def kind(go, imports, package):
    if go.startswith("*"):
        return "*" + kind(go[1:], imports, package)
    if go in BASIC:
        return BASIC[go]
    if go == "[]byte":
        return "bytes"
    if go.startswith("[]"):
        return "[" + kind(go[2:], imports, package)
    if go.startswith("map["):
        return "{" + kind(go[go.index("]") + 1:], imports, package)
    name = qualified(go, imports, package)
    if name in SPECIAL:
        return SPECIAL[name]
    if name in structs:
        return name
    if name in aliases:
        return kind(*aliases[name])
    raise SystemExit(f"unknown type {go} in {package}")


FIELD = re.compile(r"^\t(?:(\w+) )?\s*([\w.*\[\]]+)\s+`([^`]*)`")


def fields(name):
    body, imports, package = structs[name]
    comments = []
    for line in body.splitlines():
        if line.strip().startswith("//"):
            comments.append(line)
            continue
        match, said, comments = FIELD.match(line), "\n".join(comments), []
        if not match or 'json:"-' in match[3]:
            continue
        json = re.search(r'json:"([^",]*)([^"]*)"', match[3])
        number = re.search(r'protobuf:"\w+,(\d+)', match[3])
        if not json or (match[2].endswith("TypeMeta") and "inline" in json[2]):
            continue
        type_of = kind(match[2], imports, package)
        merge = ""
        if re.search(r"\+listType=map", said):
            merge = ";map=" + ",".join(re.findall(r"\+listMapKey=(\w+)", said))
        elif re.search(r"\+listType=set", said):
            merge = ";set"
        elif re.search(r"\+(?:mapType|structType)=atomic", said):
            merge = ";atomic"
        inline = "inline" in json[2] or not json[1]
        yield ("" if inline else json[1], number[1] if number else "0", type_of + merge)


kept, wanted = {}, []
table = (here.parent / "src/kubernetes/builtin.rs").read_text()
GROUPS = {"-": "core", "rbac.authorization.k8s.io": "rbac"}
for group, v, name in re.findall(r"^([\w.-]+) (v\d) (\w+) \w+ \S+ \S+$", table, re.M):
    wanted.append(f"{GROUPS.get(group, group.split('.')[0])}/{v}.{name}")
wanted += ["meta/v1.DeleteOptions", "autoscaling/v1.Scale", "authentication/v1.TokenRequest", "policy/v1.Eviction"]
while wanted:
    name = wanted.pop()
    if name in kept or name not in structs:
        if name not in structs and name not in kept:
            raise SystemExit(f"no type {name}")
        continue
    kept[name] = list(fields(name))
    wanted += [t for *_, t in ((f[2].split(";")[0].lstrip("*[{"),) for f in kept[name]) if "." in t and t not in SPECIAL]
lines = [name + "".join(f" {n}:{number}:{t}" for n, number, t in kept[name]) for name in sorted(kept)]
(here / "builtin.txt").write_text("\n".join(lines) + "\n")
print(len(kept), "types")
