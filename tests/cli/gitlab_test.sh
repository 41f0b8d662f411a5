#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Plays GitLab Runner with its custom executor, as its documentation says: a process for each stage, environment variables, exit codes,
# SIGTERM to the stage's process group when a job is cancelled. In the place of the gpuvm that runs guests is a stub.
# Usage: gitlab_test.sh GPUVM SOURCE_DIR
set -u
gpuvm=$1
source_dir=$2
command -v jq >/dev/null || { echo 'jq not found'; exit 77; }
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0
complain() {
  printf 'FAILED: %s\n' "$1"
  sed 's/^/  /' "$folder/out" "$folder/err" 2>/dev/null
  failures=$((failures + 1))
}

stub=$source_dir/tests/fixtures/stub_gpuvm.sh
: >"$folder/ci.toml"
export STUB_GUESTS="$folder/guests"

# What the runner sets for each stage.
export CUSTOM_ENV_CI_JOB_ID=4711 CUSTOM_ENV_CI_PROJECT_PATH_SLUG=group-project CUSTOM_ENV_CI_JOB_IMAGE=''
export BUILD_FAILURE_EXIT_CODE=41 SYSTEM_FAILURE_EXIT_CODE=42 BUILD_EXIT_CODE_FILE="$folder/exit-code"

# stage NAME WANTED_STATUS ARGUMENT…
stage() {
  name=$1
  wanted=$2
  shift 2
  env GPUVM_GITLAB_JOB="${key-}" "$gpuvm" gitlab-executor "$name" "$@" >"$folder/out" 2>"$folder/err" </dev/null
  status=$?
  [ "$status" -eq "$wanted" ] || complain "$name $*: exit status $status, not $wanted"
}
config() {
  key=''
  stage config 0 "$@"
  key=$(jq -r .job_env.GPUVM_GITLAB_JOB "$folder/out")
}
prepare() { stage prepare "$1" --state-dir "$folder/jobs" --gpuvm "$stub" --boot-timeout 20 "$folder/ci.toml"; }
# run WANTED_STATUS STAGE SCRIPT
run() {
  printf '%s\n' "$3" >"$folder/script"
  stage run "$1" --state-dir "$folder/jobs" --gpuvm "$stub" "$folder/script" "$2"
}
cleanup() { stage cleanup "$1" --state-dir "$folder/jobs" --power-off 1; }
says() { grep -qF -e "$1" "$folder/out" "$folder/err" || complain "no \"$1\""; }

# A job that passes, with all sub-stages.
config --builds-dir /b
[ "$(jq -r '.builds_dir, .cache_dir, .driver.name, .builds_dir_is_shared' "$folder/out" | tr '\n' ' ')" = '/b /cache gpuvm false ' ] \
  || complain 'config'
prepare 0
says 'Its sshd answers after'
for part in prepare_script get_sources restore_cache download_artifacts step_script after_script archive_cache upload_artifacts_on_success \
  cleanup_file_variables; do
  run 0 "$part" "echo this is $part"
  says "this is $part"
done
cleanup 0
says '2 functions of devices reset and verified'
[ -z "$(ls "$folder/jobs")" ] || complain 'something is left of the job'

# One that fails: the build's failure, and its own status for allow_failure:exit_codes. after_script comes all the same.
config
prepare 0
run 41 step_script 'echo no; exit 7'
[ "$(cat "$folder/exit-code")" = 7 ] || complain "exit code file: $(cat "$folder/exit-code")"
run 0 after_script true
cleanup 0

# One whose guest panics, and one whose device fails.
for end in 34:41 75:42; do
  config
  prepare 0
  run "${end#*:}" step_script "echo ${end%:*} >\"\$STUB_FOLDER/end\"; sleep 1"
  says 'The end of the guest'
  cleanup "$([ "$end" = 34:41 ] && echo 0 || echo 42)"
done

# A guest that cannot start: the runner tries again, with a cleanup and another config between.
echo 'start-fails 69' >"$folder/ci.toml"
for _ in 1 2; do
  config
  prepare 42
  says 'gpuvm cannot run the guest on this host'
  cleanup 0
done

# A guest that lets nobody in: no waiting helps.
echo no-way >"$folder/ci.toml"
config
began=$(date +%s)
prepare 42
says 'has no way into the guest'
[ $(($(date +%s) - began)) -lt 15 ] || complain 'waits for a guest that lets nobody in'
cleanup 0
: >"$folder/ci.toml"

# A cancelled job: SIGTERM to the process group of the stage, then cleanup. The guest has a session of its own and gets its power
# button from cleanup.
config
prepare 0
printf 'sleep 100\n' >"$folder/script"
env GPUVM_GITLAB_JOB="$key" setsid "$gpuvm" gitlab-executor run --state-dir "$folder/jobs" --gpuvm "$stub" "$folder/script" step_script &
cancelled=$!
sleep 1
kill -TERM "-$cancelled"
wait "$cancelled"
[ $? -gt 128 ] || complain 'a cancelled stage does not end by the signal'
[ -s "$folder/guests/ci-$key" ] || complain 'a cancelled stage takes the guest with it'
cleanup 0
[ ! -e "$folder/guests/ci-$key" ] || complain 'a cancelled job leaves its guest'

# What a job cannot do: another job's guest, another file than the administrator's.
first=$key
export CUSTOM_ENV_GPUVM_GITLAB_JOB="$first" CUSTOM_ENV_CI_JOB_IMAGE=../ci
config
[ "$key" != "$first" ] || complain 'a job chooses its key'
mkdir "$folder/images"
stage prepare 41 --state-dir "$folder/jobs" --gpuvm "$stub" --images "$folder/images" "$folder/ci.toml"
says 'no guest for the job'

# Not a stage of the runner.
key=../../etc
stage prepare 64 --state-dir "$folder/jobs" --gpuvm "$stub" "$folder/ci.toml"
says 'GPUVM_GITLAB_JOB is not what the stage config has made'
key=
(unset CUSTOM_ENV_CI_JOB_ID; stage config 64 && says 'custom executor of GitLab Runner' && exit "$failures") || failures=$((failures + 1))

[ "$failures" -eq 0 ]
