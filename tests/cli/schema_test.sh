#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# gpuvm schema against configurations: what the repository has as examples is valid, also with all that is commented out in the reference;
# what a reader refuses for its type, word, range or name is not. Usage: schema_test.sh GPUVM SOURCE_DIR
set -u
gpuvm=$1
source_dir=$2
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

# /usr/bin/python3 is the one that Debian's python3-jsonschema is for.
python=/usr/bin/python3
"$python" -c 'import jsonschema, tomllib' 2>/dev/null || { echo "skipped: python3 has no jsonschema or no tomllib (Debian: python3-jsonschema)" && exit 77; }

"$gpuvm" schema >"$folder/schema.json" || exit 1

# The reference with each key that it shows, as tests/unit/vmm/config/reference_test.cpp reads it.
sed -E 's/^# (([a-z0-9_]+ = .*)|(\[\[?[a-z_]+\]\]?))$/\1/' "$source_dir/configs/reference.toml" >"$folder/whole.toml"

cat >"$folder/check.py" <<'END'
import json, re, sys, tomllib
import jsonschema

schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
failures = 0

def errors_of(text):
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(tomllib.loads(text))]

for name in sys.argv[2:]:
    text = open(name).read()
    for error in errors_of(text):
        print(f"FAILED: {name}: {error[:300]}")
        failures += 1

wrong = ['machine.cpus = "4"', 'machine.cpus = 0', 'machine.cpus = 256', 'machine.cpu = 4', 'machin.cpus = 4', 'boot.mode = "bios"',
         'machine.rng = "yes"', 'cpu.hide = "avx"', 'pci = { host = "01:00.0" }', '[[pci]]\nhosts = "01:00.0"',
         '[[pci]]\nfunctions = [8]', '[[pci]]\nresize_bar = { bar = 9, size = "max" }', '[[pci]]\ncoherent_memory = { place = "here" }',
         '[[disk]]\nthrottle = { iops = 0 }', 'vsock.cid = 2', 'test.retries = 11', 'test.timeout = 60']
for text in wrong:
    if not errors_of(text):
        print(f"FAILED: the schema takes {text!r}")
        failures += 1

right = ['vsock.cid = "auto"', 'vsock.cid = 3', '[[pci]]\nmatch = "any-gpu"', '[[pci]]\nmatch = ["10de:*"]', '[[pci]]\nresize_bar = "max"',
         '[credentials]\n"a.b" = "c"\nd = { file = "e" }', 'test.success_pattern = "ok"', 'test.success_pattern = ["ok"]', '[cloud_init]']
for text in right:
    for error in errors_of(text):
        print(f"FAILED: the schema refuses {text!r}: {error}")
        failures += 1

sys.exit(failures != 0)
END
find "$source_dir/configs" "$source_dir/examples" -name '*.toml' ! -path '*/examples/garm/config.toml' ! -path '*/examples/gitlab/config.toml' >"$folder/files"
# shellcheck disable=SC2046  # names without spaces
"$python" "$folder/check.py" "$folder/schema.json" "$folder/whole.toml" $(cat "$folder/files")
