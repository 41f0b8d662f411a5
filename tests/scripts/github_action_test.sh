#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# action.yml's step, as GitHub's runner runs it: its environment, its outputs, a cancelled job. gpuvm is a stub that notes how it is
# called.
. "$(dirname "$0")/checks.sh"

mkdir "$WORK/bin"
cat >"$WORK/bin/gpuvm" <<'END'
#!/bin/bash
printf '%s\n' "$@" >"$STUB_WORDS"
while (($#)); do
  if [[ $1 == --result-json ]]; then
    printf '{\n  "guest": "a",\n  "reason": "\\n  \\"outcome\\": \\"wrong\\"",\n  "outcome": "%s",\n  "cases": [\n    {\n      "outcome": "failed"\n    }\n  ]\n}\n' \
      "${STUB_OUTCOME:-passed}" >"$2"
  fi
  shift
done
if [[ -n ${STUB_WAITS:-} ]]; then
  trap 'exit 143' TERM
  touch "$STUB_WORDS.ready"
  while :; do sleep 0.05; done
fi
exit "${STUB_STATUS:-0}"
END
chmod +x "$WORK/bin/gpuvm"
export PATH=$WORK/bin:$PATH STUB_WORDS=$WORK/words GITHUB_ACTIONS=true GITHUB_OUTPUT=$WORK/output RUNNER_TEMP=$WORK

# step [NAME=VALUE]…: the step with these inputs, as bash of a composite action runs it; leaves $status.
step() {
  : >"$GITHUB_OUTPUT"
  rm -f "$STUB_WORDS"
  env "$@" bash --noprofile --norc -e -o pipefail -c '"$GITHUB_ACTION_PATH/scripts/github-action"' >"$WORK/out" 2>&1 </dev/null \
    && status=0 || status=$?
}
export GITHUB_ACTION_PATH=$REPO
words() { tr '\n' ' ' <"$STUB_WORDS" | sed 's/ $//'; }

step GPUVM_INPUT_CONFIG=guest.toml GPUVM_INPUT_RESULT_JSON=result.json
expect 'the least' same "$status $(words)" '0 test --result-json result.json -- guest.toml'
expect 'outputs' same "$(tr '\n' ' ' <"$GITHUB_OUTPUT")" 'exit-status=0 outcome=passed '
rm -f result.json

nl=$'\n'
step GPUVM_INPUT_CONFIG='my guest.toml' GPUVM_INPUT_COMMAND='make check; echo "$HOME"' GPUVM_INPUT_SET="machine.cpus=4${nl}  ${nl}boot.cmdline=quiet a" \
  GPUVM_INPUT_TIMEOUT=10m GPUVM_INPUT_WAIT=30m GPUVM_INPUT_ARTIFACTS=out GPUVM_INPUT_JUNIT=junit.xml GPUVM_INPUT_SKIP_IF_UNAVAILABLE=true \
  GPUVM_INPUT_RESULT_JSON=result.json
expect 'all inputs' diff <(printf '%s\n' test --set machine.cpus=4 --set 'boot.cmdline=quiet a' --set test.timeout=10m --wait 30m --artifacts out \
  --junit junit.xml --result-json result.json --skip-if-unavailable -- 'my guest.toml' 'make check; echo "$HOME"') "$STUB_WORDS"
rm -f result.json

for status_and_outcome in 1:failed 119:failed 120:device_unsafe 121:panicked 122:host_fault 124:timed_out 125:no_verdict; do
  step GPUVM_INPUT_CONFIG=g STUB_STATUS="${status_and_outcome%:*}" STUB_OUTCOME="${status_and_outcome#*:}"
  expect "status ${status_and_outcome%:*}" same "$status" "${status_and_outcome%:*}"
  expect "outputs of $status_and_outcome" same "$(tr '\n' ' ' <"$GITHUB_OUTPUT")" \
    "exit-status=${status_and_outcome%:*} outcome=${status_and_outcome#*:} "
done
step GPUVM_INPUT_CONFIG=g STUB_STATUS=77 STUB_OUTCOME=skipped
expect 'a skip fails no step' same "$status" 0
expect 'a skip is told' grep -q '^::notice title=gpuvm test::Skipped' "$WORK/out"
step GPUVM_INPUT_CONFIG=g STUB_STATUS=77 STUB_OUTCOME=failed
expect 'a test that ends with 77 by itself fails the step' same "$status" 77
expect 'and is not told as skipped' not grep -q Skipped "$WORK/out"
step GPUVM_INPUT_CONFIG=g STUB_STATUS=77 STUB_OUTCOME=skipped
expect 'a skip is an output' grep -qx 'exit-status=77' "$GITHUB_OUTPUT"

step GPUVM_INPUT_CONFIG=
expect 'no configuration' same "$status $(tr '\n' ' ' <"$GITHUB_OUTPUT")" '122 exit-status=122 outcome=host_fault '
expect 'no configuration: an annotation' grep -q '^::error title=gpuvm test::The input config is empty' "$WORK/out"
step GPUVM_INPUT_CONFIG=g GPUVM_INPUT_GPUVM=/no/gpuvm
expect 'no gpuvm' same "$status $(tr '\n' ' ' <"$GITHUB_OUTPUT")" '122 exit-status=122 outcome=host_fault '
step GPUVM_INPUT_CONFIG=g GPUVM_INPUT_SKIP_IF_UNAVAILABLE=yes
expect 'neither true nor false' same "$status $(tr '\n' ' ' <"$GITHUB_OUTPUT")" '122 exit-status=122 outcome=host_fault '
# shellcheck disable=SC2016
step GPUVM_INPUT_CONFIG='$(touch '"$WORK"'/injected)' GPUVM_INPUT_COMMAND='`touch '"$WORK"'/injected`'
expect 'inputs are no text of a script' not test -e "$WORK/injected"

# Cancelled: SIGINT, then SIGTERM, to the step's processes; gpuvm ends in its own way, and its status is the step's.
rm -f "$STUB_WORDS.ready"
# shellcheck disable=SC2097,SC2098
GPUVM_INPUT_CONFIG=g STUB_WAITS=1 setsid "$REPO/scripts/github-action" >"$WORK/out" 2>&1 &
action=$!
for _ in {1..200}; do [[ ! -e $STUB_WORDS.ready ]] || break; sleep 0.05; done
kill -TERM "$action"
wait "$action" && status=0 || status=$?
expect 'a cancelled job ends gpuvm' same "$status" 143

# The file itself: each input reaches the step, and none is put into its script.
while read -r name; do
  variable=GPUVM_INPUT_$(tr 'a-z-' 'A-Z_' <<<"$name")
  expect "input $name" grep -qF "$variable: \${{ inputs.$name }}" "$REPO/action.yml"
  expect "$variable is used" grep -qE "(input|option --[a-z-]+) ${variable#GPUVM_INPUT_}\b" "$REPO/scripts/github-action"
done < <(sed -n '/^inputs:/,/^outputs:/p' "$REPO/action.yml" | sed -nE 's/^  ([a-z-]+):$/\1/p')
expect 'no input in the script' not grep -E 'run:.*\$\{\{' "$REPO/action.yml"
finish
