#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# As kselftest's runner and its module.sh print it; modules are the kernel's own.
# shellcheck disable=SC2016 # the guest expands it
runner='number=0 failed=0
# selftest COLLECTION MODULE [PARAMETER…]
selftest() {
  number=$((number + 1))
  echo "# timeout set to 45"
  echo "# selftests: $1: $2"
  sleep 0.3 # until the line is out: the kernel would print in its middle
  collection=$1 module=$2
  shift 2
  insmod "/$module.ko" "$@" >/tmp/said 2>&1
  status=$?
  sed "s/^/# /" /tmp/said
  if [ "$status" = 0 ]; then
    echo "# $module: ok"
    echo "ok $number selftests: $collection: $module"
  else
    echo "not ok $number selftests: $collection: $module # exit=$status"
    failed=1
  fi
}
tell() { printf "\\$1" | dd of=/dev/port bs=1 seek=244 2>/dev/null; }'

# add_modules NAME MODULE…: test modules, for the guest NAME.
add_modules() {
  local root=$WORK/initrd-$1 module file
  shift
  mkdir -p "$root"
  for module in "$@"; do
    file=$(find "$LAB_TEST_MODULES" -name "$module.ko*")
    case $file in
      *.xz) xz -dc "$file" >"$root/$module.ko" ;;
      *) cp "$file" "$root/$module.ko" ;;
    esac
  done
}

# start_job NAME [OPTION…]: as start_guest; what it leaves is in $WORK/NAME.out, $WORK/NAME.json and $WORK/NAME.xml.
start_job() {
  job=$1
  shift
  CONSOLE=$WORK/$job.console
  LOG=$WORK/$job.log
  : >"$CONSOLE"
  mkdir -p "$WORK/$job.out"
  "$GPUVM" test --artifacts "$WORK/$job.out" --result-json "$WORK/$job.json" --junit "$WORK/$job.xml" "$@" "$WORK/$job.toml" \
    >"$CONSOLE" 2>"$LOG" </dev/null &
  guest=$!
}
# "passed net: test_bpf", a line for each case.
cases() {
  sed -n '/^  "cases"/,/^  \]/p' "$WORK/$job.json" \
    | awk -F'"' '$2 == "suite" { suite = $4 } $2 == "name" { name = $4 } $2 == "outcome" { print $4, suite ": " name }'
}
junit_cases() { grep -c '<testcase ' "$WORK/$job.xml"; }

# shellcheck disable=SC2034 # make_guest reads them
GUEST_INITRD=$LAB_PLAIN_INITRD GUEST_CMDLINE=ignore_loglevel

add_modules modules test_static_key_base test_static_keys test_bpf test_firmware
make_guest modules "$runner"'
echo "TAP version 13"
echo 1..5
selftest static_keys test_static_key_base
selftest static_keys test_static_keys
selftest net test_bpf test_range=0,9
rmmod test_bpf
selftest bpf test_bpf test_id=100000
selftest firmware test_firmware
tell "$failed"' <<'END'
[test]
exit_port = true
END
start_job modules
wait_guest 300
cases >"$WORK/cases"
cat "$WORK/cases"
cp "$WORK/modules.out/console.log" "$LAB_OUT/modules-console.log"
expect "modules: one has failed" test "$guest_status" = 1
expect "modules: each is a case" diff "$WORK/cases" - <<'END'
passed static_keys: test_static_key_base
passed static_keys: test_static_keys
passed net: test_bpf
failed bpf: test_bpf
passed firmware: test_firmware
END
expect "modules: JUnit has them and the job" test "$(junit_cases)" = 6
expect "modules: what the kernel printed is the failed one's" grep -q 'test_bpf: invalid test_id' "$WORK/modules.json"
expect "modules: the kernel's log by itself" grep -q '^\[ *[0-9.]*\] test_bpf: #0 TAX ' "$WORK/modules.out/dmesg.log"
expect_not "modules: nothing else in it" grep -q 'selftests: ' "$WORK/modules.out/dmesg.log"

# The kernel panics while a module's tests run: there are hundreds of them.
add_modules crash test_static_key_base test_bpf
make_guest crash "$runner"'
echo "TAP version 13"
echo 1..3
selftest static_keys test_static_key_base
{ until dmesg | grep -q "test_bpf: #5 "; do sleep 0.1; done; echo c >/proc/sysrq-trigger; } &
selftest net test_bpf
selftest static_keys test_static_keys
tell 0' <<'END'
[test]
exit_port = true
END
start_job crash
wait_guest 300
cases >"$WORK/cases"
cat "$WORK/cases"
cp "$WORK/crash.out/console.log" "$LAB_OUT/crash-console.log"
expect "crash: 121" test "$guest_status" = 121
expect "crash: the one that ran and the one that was to come are kept" diff "$WORK/cases" - <<'END'
passed static_keys: test_static_key_base
broken net: test_bpf
broken : test 3 of 3
END
expect "crash: JUnit has them, as errors or failures" eval 'test "$(junit_cases)" = 4 && test "$(grep -cE "<(error|failure) " "$WORK/crash.xml")" = 3'

# Files of a share: what a guest may put there, and what it had better not.
# shellcheck disable=SC2034
GUEST_INITRD=$LAB_SHARE_INITRD
unset GUEST_CMDLINE
mkdir -p "$WORK/shared/mounted"
mount -t tmpfs none "$WORK/shared/mounted"
echo of the host >"$WORK/shared/mounted/file"
# shellcheck disable=SC2016
make_guest files "$runner"'
mkdir /mnt
mount -t virtiofs out /mnt
mkdir /mnt/pictures
echo a picture >/mnt/pictures/screen.ppm
dmesg >/mnt/dmesg.txt
ln -s /etc/shadow /mnt/link
ln -s / /mnt/pictures/root
mkfifo /mnt/fifo
truncate -s 1099511627776 /mnt/large
umount /mnt
tell 0' <<END
[[share]]
path = "$WORK/shared"
tag = "out"
[test]
exit_port = true
artifact_share = "out"
END
start_job files
wait_guest 300
expect "files: passed" test "$guest_status" = 0
expect "files: those that are files, and no others" \
  test "$(cd "$WORK/files.out/share" && find . | sort | tr '\n' ' ')" = '. ./dmesg.txt ./pictures ./pictures/screen.ppm '
expect "files: as they were" diff "$WORK/files.out/share" "$WORK/shared" -x link -x root -x fifo -x large -x mounted -r
expect "files: the report has them" grep -q '"name": "share"' "$WORK/files.json"
expect "files: what is left out is told" grep -q '5 left out: .*link is a symbolic link' "$WORK/files.out/gpuvm.log"

# A disk that is full costs artifacts, and no verdict: it has room for what is tried before the guest starts, and not for inspect.json.
make_guest full "$runner"'
tell 0' <<'END'
[test]
exit_port = true
END
mkdir "$WORK/full.out"
mount -t tmpfs -o size=16k none "$WORK/full.out"
start_job full
wait_guest 300
ls -l "$WORK/full.out"
cat "$LOG"
expect "full: the guest's own status" test "$guest_status" = 0
expect "full: which is told" logged 'Cannot write the state of the machine'
umount "$WORK/full.out"

# What is known before anything runs.
for wrong in "--artifacts $WORK/link" "--artifacts $WORK/files.out --junit $WORK/files.out/console.log"; do
  ln -sfn "$WORK/files.out" "$WORK/link"
  status=0
  # shellcheck disable=SC2086
  "$GPUVM" test $wrong "$WORK/files.toml" >"$WORK/said" 2>&1 </dev/null || status=$?
  cat "$WORK/said"
  expect "refused: $wrong" test "$status" = 122
done
finish
