#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# gpuvm events --host and metrics --host at the control socket of a guest that is not there, against their schema; and the rules and units
# that take them. python3-jsonschema, python3-yaml and promtool check what they can where they are. Usage: fleet_test.sh GPUVM SOURCE_DIR
set -u
gpuvm=$1
source_dir=$2
command -v perl >/dev/null || exit 77
folder=$(mktemp -d) || exit 1
guest=
follower=
trap '[ -z "$guest" ] || kill "$guest" 2>/dev/null; [ -z "$follower" ] || kill "$follower" 2>/dev/null; rm -rf "$folder"' EXIT
XDG_RUNTIME_DIR=$folder
export XDG_RUNTIME_DIR
mkdir "$folder/gpuvm"
socket=$folder/gpuvm/fleet-1.sock
failures=0
python=/usr/bin/python3

fail() {
  echo "FAILED: $1"
  failures=$((failures + 1))
}

# within SECONDS COMMAND...: it succeeds before that.
within() {
  left=$(($1 * 10))
  shift
  until "$@"; do
    [ "$left" -gt 0 ] || return 1
    left=$((left - 1))
    sleep 0.1
  done
}

# told FILE PATTERN: a line of it matches.
told() { grep -Eq -e "$2" "$1"; }

# wrong STATUS TEXT ARGUMENT...: an error of that status, which says so.
wrong() {
  wanted=$1
  text=$2
  shift 2
  "$gpuvm" "$@" >"$folder/stdout" 2>"$folder/stderr"
  status=$?
  if [ "$status" -ne "$wanted" ] || ! grep -qF -e "$text" "$folder/stderr"; then
    fail "gpuvm $*: status $status, $(cat "$folder/stderr")"
  fi
}
wrong 64 'GUEST is required' events
wrong 64 'GUEST is required' events --follow
wrong 64 'excludes' events --host fleet-1
wrong 64 'excludes' metrics --host fleet-1

start_fake() {
  perl "$source_dir/tests/cli/fake_guest.pl" "$socket" fleet-1 "$folder/log" &
  guest=$!
  within 10 test -S "$socket" || fail 'the guest that is not there has no socket'
}

# Without a guest: the host lives.
"$gpuvm" events --host >"$folder/alone.jsonl" || fail 'events --host without a guest'
head -n 1 "$folder/alone.jsonl" | grep -q '"event":"host"' || fail "begins with $(head -n 1 "$folder/alone.jsonl")"
told "$folder/alone.jsonl" '"guest":"fleet-1"' && fail 'there is no guest yet'

# What comes and goes.
"$gpuvm" events --host --follow >"$folder/follow.jsonl" 2>"$folder/stderr" &
follower=$!
within 10 test -s "$folder/follow.jsonl" || fail 'events --host --follow says nothing'
start_fake
within 15 told "$folder/follow.jsonl" '"event":"guest","guest":"fleet-1"' || fail "is not told of a guest: $(cat "$folder/follow.jsonl")"
sleep 2
[ "$(grep -c '"guest":"fleet-1"' "$folder/follow.jsonl")" -eq 1 ] || fail 'a guest that stays as it is is told again'
"$gpuvm" events --host >"$folder/once.jsonl" || fail 'events --host'
told "$folder/once.jsonl" '"guest":"fleet-1",.*"state":"running",.*"cpus":2,.*"devices":\["0000:01:00.0"\]' || fail "$(cat "$folder/once.jsonl")"
"$gpuvm" metrics --host >"$folder/host.prom" || fail 'metrics --host'
told "$folder/host.prom" '^gpuvm_guests\{state="running"\} [1-9]' || fail "$(cat "$folder/host.prom")"
told "$folder/host.prom" '^gpuvm_host_look_timestamp_seconds [0-9.]+$' || fail "$(cat "$folder/host.prom")"
kill "$guest"
wait "$guest" 2>/dev/null
guest=
within 15 told "$folder/follow.jsonl" '"event":"guest_gone","guest":"fleet-1"' || fail "is not told of its end: $(cat "$folder/follow.jsonl")"
kill "$follower"
wait "$follower"
[ $? -eq 143 ] || fail 'a signal does not end it'
follower=
[ ! -s "$folder/stderr" ] || fail "it complains: $(cat "$folder/stderr")"

cat "$folder/alone.jsonl" "$folder/once.jsonl" "$folder/follow.jsonl" >"$folder/all.jsonl"
if "$python" -c 'import jsonschema' 2>/dev/null; then
  "$python" - "$source_dir/docs/schemas/host-event.schema.json" "$folder/all.jsonl" <<'END' || fail 'lines and schema'
import json, sys
import jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
lines = [json.loads(line) for line in open(sys.argv[2])]
wrong = [(line, error.message) for line in lines for error in validator.iter_errors(line)]
for line, message in wrong:
    print(line, message)
assert len(lines) >= 5 and {"host", "guest", "guest_gone"} <= {line["event"] for line in lines}
assert list(validator.iter_errors({**lines[0], "event": "other"})), "the schema takes anything"
sys.exit(wrong != [])
END
fi

rules=$source_dir/examples/prometheus/gpuvm-rules.yaml
if "$python" -c 'import yaml' 2>/dev/null; then
  "$python" - "$rules" "$folder/host.prom" "$source_dir/docs/fleet.md" <<'END' || fail "$rules"
import re, sys
import yaml
groups = yaml.safe_load(open(sys.argv[1]))["groups"]
rules = [rule for group in groups for rule in group["rules"]]
alerts = {rule["alert"]: rule for rule in rules if "alert" in rule}
assert len(alerts) >= 4 and all({"expr", "labels", "annotations"} <= set(rule) for rule in alerts.values())
# Each metric of ours in a rule is one that there is, and one that docs/fleet.md names.
known = set(re.findall(r"^# TYPE (\S+)", open(sys.argv[2]).read(), re.M))
named = set(re.findall(r"gpuvm_[a-z_]+", "\n".join(rule["expr"] for rule in rules)))
assert named and named <= known, named - known
page = open(sys.argv[3]).read()
assert all(metric in page for metric in known), [metric for metric in known if metric not in page]
assert all(alert in page for alert in alerts), [alert for alert in alerts if alert not in page]
END
fi
if command -v promtool >/dev/null; then
  promtool check rules "$rules" >"$folder/promtool" 2>&1 || fail "$(cat "$folder/promtool")"
  promtool test rules "$source_dir/examples/prometheus/gpuvm-rules-test.yaml" >"$folder/promtool" 2>&1 || fail "$(cat "$folder/promtool")"
  promtool check metrics <"$folder/host.prom" >"$folder/promtool" 2>&1 || fail "$(cat "$folder/promtool")"
fi
if command -v systemd-analyze >/dev/null; then
  for unit in "$source_dir"/examples/fleet/*.service "$source_dir"/examples/fleet/*.timer; do
    # Programs and users of an installed gpuvm are not here.
    systemd-analyze verify "$unit" 2>&1 | grep -F "$(basename "$unit")" | grep -E 'Unknown|Invalid|Failed to parse|Missing' && fail "$unit"
  done
fi

[ "$failures" -eq 0 ]
