#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Exit statuses and messages of wrong command lines and configurations, and what the harmless verbs print.
# Usage: errors_test.sh GPUVM SOURCE_DIR
set -u
unset GITHUB_ACTIONS GITHUB_STEP_SUMMARY
gpuvm=$1
source_dir=$2
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0

complain() {
  printf 'FAILED: gpuvm %s\n  %s\n' "$arguments" "$1"
  failures=$((failures + 1))
}

# run ARGUMENT...: leaves status, stdout and stderr.
run() {
  arguments=$*
  "$gpuvm" "$@" >"$folder/stdout" 2>"$folder/stderr" </dev/null
  status=$?
}

# expect_error STATUS MESSAGE ARGUMENT...: exactly one line on stderr, with MESSAGE, and nothing on stdout.
expect_error() {
  wanted_status=$1
  message=$2
  shift 2
  run "$@"
  [ "$status" -eq "$wanted_status" ] || complain "exit status $status, not $wanted_status"
  [ "$(wc -l <"$folder/stderr")" -eq 1 ] || complain "not one line: $(cat "$folder/stderr")"
  grep -q '^gpuvm: error: .' "$folder/stderr" || complain "no error line: $(cat "$folder/stderr")"
  grep -qF -e "$message" "$folder/stderr" || complain "no \"$message\" in: $(cat "$folder/stderr")"
  [ ! -s "$folder/stdout" ] || complain "writes to standard output: $(cat "$folder/stdout")"
}

# expect_output TEXT ARGUMENT...: success, TEXT on stdout, nothing on stderr.
expect_output() {
  text=$1
  shift
  run "$@"
  [ "$status" -eq 0 ] || complain "exit status $status: $(cat "$folder/stderr")"
  grep -qF -e "$text" "$folder/stdout" || complain "no \"$text\" in: $(cat "$folder/stdout")"
  [ ! -s "$folder/stderr" ] || complain "writes to standard error: $(cat "$folder/stderr")"
}

good=$folder/guest.toml
printf '[boot]\nkernel = "vmlinuz"\n' >"$good"

# Option ROMs.
corpus=$source_dir/tests/fuzz/corpus/option_rom
expect_error 64 'SOURCE is required' rom show
expect_error 64 'A verb is required: show, dump or trim (see gpuvm rom --help)' rom
expect_error 64 'gpuvm rom has no verb shwo: it has show, dump or trim; did you mean show?' rom shwo x
expect_error 64 'not a PCI address' rom dump gpu "$folder/dump.rom"
expect_error 69 'There is no PCI device 001f:ff:1f.7' rom dump 001f:ff:1f.7 "$folder/dump.rom"
expect_error 78 'no-such.rom' rom show "$folder/no-such.rom"
: >"$folder/empty.rom"
expect_error 78 'The ROM is empty' rom show "$folder/empty.rom"
expect_error 78 'no image begins in it' rom show "$corpus/ones"
truncate -s 16777217 "$folder/large.rom"
expect_error 78 'at most 16777216' rom show "$folder/large.rom"
expect_output '0x000000  legacy, 10de:1b80, class 030000, 1024 bytes, checksum right' rom show "$corpus/legacy_efi"
expect_output '0x000400  EFI, 10de:1b80, class 030000, 1024 bytes, x64, compressed, last' rom show "$corpus/legacy_efi"
expect_output 'for ever' rom show "$corpus/loop"
expect_output '512 bytes cut off' rom trim "$corpus/vendor_header" "$folder/trimmed.rom"
tail -c +513 "$corpus/vendor_header" | cmp - "$folder/trimmed.rom" || complain "trimmed ROM differs"
expect_error 78 'File exists' rom trim "$corpus/vendor_header" "$folder/trimmed.rom"

# Reports of cards.
reports=$source_dir/tests/fixtures/reports
expect_error 64 'BDF is required' report
expect_error 64 'BDF is required, for instance gpuvm report 0000:01:00.0 card.json' report card.json
expect_error 64 'FILE is required, for instance gpuvm report 0000:01:00.0 card.json' report 0000:01:00.0
expect_error 64 'FILE is required' report card.json 0000:01:00.0
expect_error 64 'gpu is not a PCI address' report gpu "$folder/card.json"
expect_error 64 '--cycles' report --cycles 1001 0000:01:00.0 "$folder/card.json"
expect_error 64 '--lspci' report --lspci guest ffff:ff:1f.7 "$folder/card.json"
expect_error 64 '--lspci' report --show "$reports/dump-nvidia-ga104.json" --lspci nobody
expect_error 64 'takes a report alone' report --show "$reports/dump-nvidia-ga104.json" 0000:01:00.0 "$folder/card.json"
expect_error 69 'There is no PCI device ffff:ff:1f.7' report ffff:ff:1f.7 "$folder/card.json"
[ ! -e "$folder/card.json" ] || complain 'leaves a file'
expect_error 78 'no-such.json' report --show "$folder/no-such.json"
expect_error 78 'is not a regular file but a directory' report --show "$folder"
printf '{"gpuvm_report": 1,\n "gpuvm_report": 1}' >"$folder/twice.json"
expect_error 78 "$folder/twice.json: gpuvm_report is there twice" report --show "$folder/twice.json"
head -c 2000 "$reports/dump-nvidia-ga104.json" >"$folder/cut.json"
expect_error 78 'is it cut short?' report --show "$folder/cut.json"
truncate -s 16777217 "$folder/large.json"
expect_error 78 'at most 16777216' report --show "$folder/large.json"
expect_output 'policy        NVIDIA Turing to Ada' report --show "$reports/dump-nvidia-ga104.json"
expect_output '00: de 10 89 24' report --show "$reports/dump-nvidia-ga104.json" --lspci hardware
expect_output '00: de 10 89 24' report --show "$reports/dump-nvidia-ga104.json" --lspci guest

# The examples are what they are copied for; a runner's own config.toml is no guest's.
for example in "$source_dir"/configs/*.toml "$source_dir"/examples/*/*.toml; do
  case $example in */reference.toml | */config.toml) continue ;; esac
  "$gpuvm" validate "$example" >"$folder/example" 2>&1 || complain "$example: $(cat "$folder/example")"
done

# Of a job each other status is the guest's: whatever is wrong is 122, and a report says so, too.
expect_error 122 'CONFIG is required' test
expect_error 122 '--frobnicate' test "$good" --frobnicate
expect_error 122 '--artifacts: an empty name of a file' test --artifacts '' "$good"
expect_error 122 'Not a directory' test --log-file "$good/log" "$good"
expect_error 122 'Cannot make the folder /dev/null/x for artifacts' test --artifacts /dev/null/x "$good"
expect_error 122 'Cannot write /dev/null/x' test --result-json /dev/null/x "$good"
expect_error 122 'Two reports are to be written to' test --result-json "$folder/report" --junit "$folder/report" "$good"
expect_error 122 'console.log would be lost' test --artifacts "$folder/artifacts" --junit "$folder/artifacts/console.log" "$good"
ln -s "$folder/artifacts" "$folder/artifacts-link"
expect_error 122 'artifacts-link is a symbolic link' test --artifacts "$folder/artifacts-link" "$good"
# A word of the test's command may be the name of a verb.
expect_error 122 'no-such.toml' test "$folder/no-such.toml" make check
expect_error 122 'see gpuvm test --help' test "$good" --frobnicate
export GITHUB_ACTIONS=true
run test "$folder/no-such.toml"
unset GITHUB_ACTIONS
grep -q '^::error title=gpuvm test%3A host_fault::.*no-such.toml' "$folder/stdout" || complain 'no annotation of a wrong configuration'
expect_error 122 'no-such.toml' test --result-json "$folder/result.json" --artifacts "$folder/out" "$folder/no-such.toml"
grep -q '"outcome": "host_fault"' "$folder/result.json" || complain 'no report of a wrong configuration'
cmp "$folder/result.json" "$folder/out/result.json" || complain 'another report among the artifacts'
expect_error 122 'test.failure_pattern "a(b" is no regular expression' test --set 'test.failure_pattern="a(b"' "$good"

# Wrong usage: 64.
expect_error 64 'A verb is required: run, test, pool, validate, convert, inspect, ' # manual_test.sh has them all
expect_error 64 'gpuvm has no verb frobnicate: it has run, ' frobnicate
expect_error 64 'did you mean validate?' validat "$good"
expect_error 64 'CONFIG is required' run
expect_error 64 'CONFIG is required' validate
expect_error 64 '--frobnicate' run "$good" --frobnicate
expect_error 64 'extra.toml' validate "$good" extra.toml
expect_error 64 '--verbose' run -q -v "$good"
expect_error 64 '--set' validate "$good" --set
expect_error 64 '--set machine.cpus is not of the form key=value' validate --set machine.cpus "$good"
expect_error 64 'Not a directory' run --log-file "$good/log" "$good"
expect_error 64 'No such file or directory' run --dry-run --log-file "$folder/none/log" "$good"
[ ! -e "$folder/none" ] || complain 'makes folders for a log file'
for option in --events --log-file --inspect-file; do
  expect_error 64 "$option: an empty name of a file" run "$option" '' "$good"
done
for option in --events --log-file --inspect-file; do
  expect_error 64 "$option: standard output, \"-\", is for the guest's console: name a file" run "$option" - "$good"
done
expect_error 122 "--junit: standard output, \"-\", is for the guest's console: name a file" test --junit - "$good"
# What is there and holds something else is not appended to; nor is a link followed.
cp "$good" "$folder/mine"
for option in --events --log-file; do
  expect_error 64 "$folder/mine is there and holds something else" run "$option" "$folder/mine" "$good"
done
cmp "$good" "$folder/mine" || complain 'spoils a file'
ln -s "$folder/log-target" "$folder/log-link"
expect_error 64 "$folder/log-link is a symbolic link" run --log-file "$folder/log-link" "$good"
[ ! -e "$folder/log-target" ] || complain 'follows a link'
for name in . -x .x; do
  expect_error 78 'name must be 1 to 64 characters' validate --set "name=\"$name\"" "$good"
done
expect_error 64 'power not in' reset --first power 0000:01:00.0
expect_error 64 'A verb is required: fdt' dump
expect_error 64 'gpuvm dump has no verb acpi: it has fdt' dump acpi "$good"
expect_error 64 'gpuvm dump has no verb frobnicate' dump frobnicate "$good"
expect_error 64 '01:00 is not a PCI address' unbind 01:00
expect_error 64 'x is not a PCI address' reset x
expect_error 64 'GUEST is required' ssh
expect_error 64 'is not of the form NAME or USER@NAME' ssh @guest
expect_error 64 'as in gpuvm ssh me@render-1' ssh me@
if [ -c /dev/full ]; then
  for option in --help --version; do
    "$gpuvm" "$option" >/dev/full 2>"$folder/full"
    status=$?
    arguments="$option >/dev/full"
    [ "$status" -eq 69 ] || complain "exit status $status, not 69"
    grep -q 'standard output' "$folder/full" || complain "does not say what it cannot write: $(cat "$folder/full")"
  done
fi
expect_error 64 'gpuvm has no option --versio; did you mean --version?' --versio
expect_error 64 'gpuvm has no option -V; did you mean --version?' -V
expect_error 64 'gpuvm --help tells what it has' help
expect_error 64 'is no name of one' devices --save -
expect_error 64 'gpu' devices --gpu --save "$good.new"
expect_error 64 'is not of the form NAME or USER@NAME' ssh -- -oProxyCommand=x@guest
expect_error 69 'No guest named no-such-guest runs here; ' ssh no-such-guest -- ls -l
expect_error 64 '--wait' ssh --wait x guest
expect_error 64 'BDF is required' reset
expect_error 64 'BDF is required' test-reset --json
expect_error 64 '--cycles' test-reset --cycles 0 0000:01:00.0
expect_error 64 '--events: Cannot write /dev/null/x: Not a directory' run --events /dev/null/x "$good"
for verb in run validate inspect; do
  expect_error 64 'CONFIG: an empty name of a file' "$verb" ''
done
expect_error 64 'SOURCE: an empty name of a file' rom show ''
expect_error 64 'FILE: an empty name of a file' rom dump 0000:01:00.0 ''
expect_error 64 'OUT: an empty name of a file' rom trim "$good" ''
expect_error 64 '--show: an empty name of a file' report --show ''
expect_error 64 'FILE is an empty name of a file' report 0000:01:00.0 ''
expect_error 64 '"" is not a PCI address' reset ''
expect_error 64 '--set stands in front of the verb: options go behind it, as in gpuvm run --set' --set machine.cpus=3 run "$good"
expect_error 64 'gpuvm has no option -v; did you mean --version?' -v
expect_error 64 '--force stands in front of the verb: options go behind it, as in gpuvm rom show' rom --force show x
expect_error 69 'There is no PCI device ffff:ff:1f.7' reset ffff:ff:1f.7
expect_error 69 'There is no PCI device ffff:ff:1f.7' test-reset ffff:ff:1f.7

# A guest that runs, by its locked file (running_guest.hpp), and has neither vsock nor a port: all ways in are told.
mkdir -p "$folder/runtime/gpuvm"
printf 'name=shut\npid=1\naddress=\nport=0\nkey=\nknown_hosts=\nend\n' >"$folder/runtime/gpuvm/guest-shut.run"
perl -MFcntl -e 'open my $f, "+<", $ARGV[0] or die; my $lock = pack("s s x4 q q i x4", F_WRLCK, 0, 0, 0, 0); fcntl $f, F_SETLK, $lock or die; print "locked"; close STDOUT; sleep 60' \
  "$folder/runtime/gpuvm/guest-shut.run" >"$folder/locked" &
holder=$!
while [ ! -s "$folder/locked" ] && kill -0 "$holder" 2>/dev/null; do
  sleep 0.1
done
export XDG_RUNTIME_DIR="$folder/runtime"
for way in 'add [vsock]' 'forward = ["tcp:127.0.0.1/2222:22"]' 'on a tap' 'ssh_key = "auto"'; do
  expect_error 78 "$way" ssh shut
done
unset XDG_RUNTIME_DIR
kill "$holder"

# Wrong configuration: 78.
expect_error 78 "Cannot open $folder/absent.toml: No such file or directory" validate "$folder/absent.toml"
expect_error 78 "$folder is not a regular file but a directory" validate "$folder"
printf '[machine]\n\ncpus = "x"\n' >"$folder/type.toml"
expect_error 78 "machine.cpus must be an integer from 1 to 255, not a string ($folder/type.toml:3:8)" \
  validate "$folder/type.toml"
expect_error 78 "machine.cpus must be an integer" run "$folder/type.toml"
printf '[machine]\ncpu = 4\n' >"$folder/key.toml"
expect_error 78 "Unknown key machine.cpu ($folder/key.toml:2:1); did you mean cpus?" validate "$folder/key.toml"
printf '[machine\n' >"$folder/syntax.toml"
expect_error 78 "$folder/syntax.toml:1:" validate "$folder/syntax.toml"
head -c 4096 /dev/urandom >"$folder/noise.toml"
expect_error 78 "$folder/noise.toml" validate "$folder/noise.toml"
expect_error 78 '(--set machine.cpus=x)' validate --set machine.cpus=x "$good"
printf '' >"$folder/empty.toml"
expect_error 78 'boot.kernel is missing' validate "$folder/empty.toml"

expect_error 78 'takes the whole slot: remove one entry' validate --set pci.0.host=01:00.0 --set pci.1.host=01:00.1 "$good"

expect_error 78 'Only boot.mode = "efi-handover" has a device tree' dump fdt "$good"

# A signal that comes before anybody can carry it out waits: SIGUSR1 is bit 9 of the mask, SIGUSR2 bit 11. Standard error is a full
# pipe, on which the program waits with its first word; no process sleeps before that.
mkfifo "$folder/held"
exec 7<>"$folder/held"
dd if=/dev/zero bs=4096 oflag=nonblock of="$folder/held" 2>"$folder/dd" && complain 'the pipe is not full'
"$gpuvm" run "$folder/missing.toml" >/dev/null 2>"$folder/held" &
waiting=$!
arguments='run that waits'
while kill -0 "$waiting" 2>/dev/null; do
  [ "$(readlink "/proc/$waiting/exe")" = "$(readlink -f "$gpuvm")" ] && grep -q '^State:.*S' "/proc/$waiting/status" && break
done
mask=$(sed -n 's/^SigBlk:[[:space:]]*//p' "/proc/$waiting/status")
[ $((0x${mask:-0} & 0xa00)) -eq $((0xa00)) ] || complain "SIGUSR1 and SIGUSR2 are not held: $mask"
cat <&7 >/dev/null &
reader=$!
wait "$waiting"
kill "$reader"
exec 7>&-

# What works.
expect_output "$good is valid" validate "$good"
expect_output "$good is valid" validate --set machine.cpus=4 "$good" --set=boot.cmdline='a="b c" [x]'
expect_output "$good is valid" validate --set 'console.serial=["off"]' --set boot.cmdline= "$good"
for example in gpu-linux compute-node render-node; do
  expect_output 'is valid' validate "$source_dir/configs/$example.toml"
done
expect_output 'Only the host can tell: pci.0' validate --set pci.0.host=01:10.0 --set pci.1.host=01:10.1 "$good"
expect_output 'is valid' validate --set boot.kernel=/boot/vmlinuz "$source_dir/configs/reference.toml"
expect_output 'memory_mib: 1024' inspect "$good"
expect_output '"cpus":4' inspect --json --set machine.cpus=4 "$good"
# What is wrong with a device hides nothing else.
for verb in inspect 'run --dry-run'; do
  # shellcheck disable=SC2086 # a verb with its option
  run $verb --set pci.0.host=ffff:ff:1f.7 "$good"
  [ "$status" -eq 78 ] || complain "exit status $status, not 78"
  grep -q 'memory_mib: 1024' "$folder/stdout" || complain "no machine: $(cat "$folder/stdout")"
  grep -q 'boot_files: ' "$folder/stdout" || complain "no other checks: $(cat "$folder/stdout")"
  grep -q '^gpuvm: error: pci.0 (--set pci.0.host=.*ffff:ff:1f.7 is not there' "$folder/stderr" \
    || complain "no device in: $(cat "$folder/stderr")"
done
# A card that is not there, found by match: the same, and a wait for it is none.
for verb in inspect 'run --dry-run'; do
  # shellcheck disable=SC2086 # a verb with its option
  run $verb --set pci.0.match=fffe:0001 "$good"
  [ "$status" -eq 69 ] || complain "exit status $status, not 69"
  grep -q 'memory_mib: 1024' "$folder/stdout" || complain "no machine: $(cat "$folder/stdout")"
  grep -q '^gpuvm: error: This host has no ' "$folder/stderr" || complain "no card in: $(cat "$folder/stderr")"
done
expect_error 69 'This host has no ' run -q --set pci.0.match=fffe:0001 "$good"
expect_error 78 'boot.kernel: ' run -q --wait 1h --set pci.0.match=any-gpu "$good"
expect_error 64 'soon is no duration such as 90s' run --wait soon "$good"
expect_error 64 '--dry-run' run --wait 1s --dry-run "$good"
expect_output 'takes the first free card' validate --set pci.0.match=any-gpu "$good"
# A dry run prints the machine, and ends as the run would: here for want of a kernel, first of all.
run run --dry-run "$good"
[ "$status" -eq 78 ] || complain "exit status $status, not 78"
grep -qF '#   memory_mib: 1024' "$folder/stdout" || complain "no machine: $(cat "$folder/stdout")"
grep -qF '#     disks: ok' "$folder/stdout" || complain "no checks: $(cat "$folder/stdout")"
grep -q '^gpuvm: error: boot.kernel: .*vmlinuz' "$folder/stderr" || complain "no kernel in: $(cat "$folder/stderr")"
expect_output 'boot: uefi' inspect --set boot.mode=uefi --set boot.firmware=/f.fd --set boot.vars=/v.fd "$good"
expect_output 'firmware: /f.fd' inspect --set boot.mode=uefi --set boot.firmware=/f.fd --set boot.vars=/v.fd "$good"
expect_output 'gpuvm 0.' --version
expect_output 'Exit status:' --help
for verb in run validate inspect unbind reset test-reset report dump; do
  expect_output "$verb" --help
  expect_output "gpuvm $verb" "$verb" --help
done

[ "$failures" -eq 0 ]
