#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# GARM's side of examples/garm/gpuvm-garm-provider, as its documentation says: commands and ids by environment variables, the instance
# as JSON on standard input, answers and exit statuses. gpuvm is the stub of other tests.
. "$(dirname "$0")/checks.sh"
command -v jq >/dev/null || { echo 'jq not found'; exit 77; }

mkdir "$WORK/guests" "$WORK/bin"
: >"$WORK/guests/gpu.toml"
echo 'start-fails 69' >"$WORK/guests/broken.toml"
echo 'reset-fails' >"$WORK/guests/unsafe.toml"
echo 'stubborn' >"$WORK/guests/stubborn.toml"
printf '# more of it\nmachine.cpus=32\n\n' >"$WORK/guests/large.flavor"
cat >"$WORK/bin/gpuvm" <<END
#!/bin/bash
[[ \$1 != validate ]] || exit \${STUB_VALIDATE:-0}
exec "$REPO/tests/fixtures/stub_gpuvm.sh" "\$@"
END
chmod +x "$WORK/bin/gpuvm"
printf 'GPUVM=%q\nGPUVM_GUESTS=%q\nGPUVM_STATE=%q\nGPUVM_STOP_SECONDS=20\n' "$WORK/bin/gpuvm" "$WORK/guests" "$WORK/state" >"$WORK/provider.conf"
export GARM_PROVIDER_CONFIG_FILE=$WORK/provider.conf GARM_CONTROLLER_ID=f9286791-1589-4f39-a106-5b68c2a18af4 STUB_GUESTS=$WORK/running
POOL=9dcf590a-1192-4a9c-b3e4-e0902974c2c0

# bootstrap NAME IMAGE [FLAVOR]: what GARM sends.
bootstrap() {
  jq -n --arg name "$1" --arg image "$2" --arg flavor "${3:-default}" '{
    name: $name, image: $image, flavor: $flavor, repo_url: "https://github.com/example/it'"'"'s", "callback-url": "https://garm/api/v1/callbacks",
    "metadata-url": "https://garm/api/v1/metadata", "instance-token": "secret $(touch injected)", "github-runner-group": "my group", labels: ["gpu", "linux"],
    os_type: "linux", arch: "amd64", pool_id: "other", jit_config_enabled: true, "ca-cert-bundle": null, extra_specs: {},
    tools: [{os: "win", architecture: "x64", download_url: "https://x/win.zip"},
            {os: "linux", architecture: "arm64", download_url: "https://x/arm.tar.gz"},
            {os: "linux", architecture: "x64", download_url: "https://x/x64.tar.gz", sha256_checksum: "147c14"}]}'
}

# garm COMMAND [NAME=VALUE]…: leaves $status, $WORK/out and $WORK/err; standard input is $WORK/in.
garm() {
  env GARM_COMMAND="$1" "${@:2}" "$REPO/examples/garm/gpuvm-garm-provider" <"$WORK/in" >"$WORK/out" 2>"$WORK/err" && status=0 || status=$?
}
: >"$WORK/in"
answer() { jq -r "$1" "$WORK/out"; }
create() {
  bootstrap "$@" >"$WORK/in"
  garm CreateInstance GARM_POOL_ID=$POOL
  : >"$WORK/in"
}
folder=$WORK/state/$GARM_CONTROLLER_ID
await_running() { for _ in {1..200}; do [[ ! -s $folder/$1/events.jsonl ]] || ! grep -q '"running"' "$folder/$1/events.jsonl" || return 0; sleep 0.05; done; return 1; }

# A runner from its creation to its end.
create garm-ny9HeeQYw2rl gpu large
expect 'create' same "$status" 0
expect 'an instance' same "$(answer '[.provider_id, .name, .os_type, .os_arch, .status, .pool_id] | join(" ")')" \
  "garm-ny9HeeQYw2rl garm-ny9HeeQYw2rl linux amd64 running $POOL"
expect 'it runs' await_running garm-ny9HeeQYw2rl
expect 'a name that gpuvm takes' grep -qx 'name="garm-ny9heeqyw2rl"' "$folder/garm-ny9HeeQYw2rl/words"
expect 'the flavor' grep -qx 'machine.cpus=32' "$folder/garm-ny9HeeQYw2rl/words"
expect 'the flavor has no comments' not grep -q more "$folder/garm-ny9HeeQYw2rl/words"
expect 'user data' grep -qx "cloud_init.user_data=\"$folder/garm-ny9HeeQYw2rl/user-data\"" "$folder/garm-ny9HeeQYw2rl/words"
expect 'a secret is nobody else'"'"'s' same "$(stat -c %a "$folder/garm-ny9HeeQYw2rl")" 700

# What the guest is told: a script whose variables are text.
sed '/^set -euo pipefail/,$d' "$folder/garm-ny9HeeQYw2rl/user-data" >"$WORK/variables"
expect 'a script' bash -n "$folder/garm-ny9HeeQYw2rl/user-data"
expect 'a first line that cloud-init knows' same "$(head -n 1 "$folder/garm-ny9HeeQYw2rl/user-data")" '#!/bin/bash'
# shellcheck disable=SC1091,SC2016
variables=$(cd "$WORK" && env -i bash -c '. ./variables; printf "%s|" "$GARM_NAME" "$GARM_REPO_URL" "$GARM_TOKEN" "$GARM_LABELS" "$GARM_GROUP" "$GARM_JIT" "$GARM_DOWNLOAD_URL" "$GARM_DOWNLOAD_SHA256" "$GARM_CA_BUNDLE"')
expect 'variables' same "$variables" \
  "garm-ny9HeeQYw2rl|https://github.com/example/it's|secret \$(touch injected)|gpu,linux|my group|true|https://x/x64.tar.gz|147c14||"
expect 'nothing is run of it' not test -e "$WORK/injected"

create garm-ny9HeeQYw2rl gpu
expect 'a duplicate' same "$status" 31
garm GetInstance GARM_INSTANCE_ID=garm-ny9HeeQYw2rl GARM_POOL_ID=$POOL
expect 'get' same "$status $(answer .status)" '0 running'
garm GetInstance GARM_INSTANCE_ID=garm-nobody GARM_POOL_ID=$POOL
expect 'get one that is not there' same "$status" 30

create garm-second gpu
garm ListInstances GARM_POOL_ID=$POOL
expect 'list' same "$status $(answer 'map(.name) | sort | join(" ")')" '0 garm-ny9HeeQYw2rl garm-second'
garm ListInstances GARM_POOL_ID=another
expect 'list of another pool' same "$status $(cat "$WORK/out")" '0 []'
expect 'another controller has none' same "$(GARM_CONTROLLER_ID=other garm ListInstances GARM_POOL_ID=$POOL; cat "$WORK/out")" '[]'

# The job is over: the guest powers off.
await_running garm-second
echo 0 >"$folder/garm-second/end"
for _ in {1..200}; do [[ ! -s $folder/garm-second/status ]] || break; sleep 0.05; done
sleep 0.2
garm GetInstance GARM_INSTANCE_ID=garm-second GARM_POOL_ID=$POOL
expect 'one that has powered off' same "$(answer .status)" stopped
for word in StartInstance Start; do
  rm -f "$folder/garm-second/end"
  garm $word GARM_INSTANCE_ID=garm-second GARM_POOL_ID=$POOL
  expect "$word" same "$status" 0
  await_running garm-second
  garm StopInstance GARM_INSTANCE_ID=garm-second GARM_POOL_ID=$POOL
  expect 'StopInstance' same "$status" 0
  garm GetInstance GARM_INSTANCE_ID=garm-second GARM_POOL_ID=$POOL
  expect 'stopped' same "$(answer .status)" stopped
done
garm Stop GARM_INSTANCE_ID=garm-nobody
expect 'stop one that is not there' same "$status" 30

garm DeleteInstance GARM_INSTANCE_ID=garm-ny9HeeQYw2rl GARM_POOL_ID=$POOL
expect 'delete' same "$status $(cat "$WORK/out")" '0 '
expect 'nothing is left' not test -e "$folder/garm-ny9HeeQYw2rl"
expect 'the guest has ended' not test -e "$STUB_GUESTS/garm-ny9heeqyw2rl"
garm DeleteInstance GARM_INSTANCE_ID=garm-ny9HeeQYw2rl GARM_POOL_ID=$POOL
expect 'delete what is not there' same "$status" 0

# Guests that do not start, or leave a device unsafe, or do not power off.
create garm-broken broken
for _ in {1..100}; do [[ ! -s $folder/garm-broken/status ]] || break; sleep 0.05; done
sleep 0.2
garm GetInstance GARM_INSTANCE_ID=garm-broken GARM_POOL_ID=$POOL
expect 'a fault' same "$(answer .status)" error
expect 'a fault says why' grep -q 'status 69' <<<"$(answer '.provider_fault | @base64d')"
garm DeleteInstance GARM_INSTANCE_ID=garm-broken GARM_POOL_ID=$POOL
expect 'delete a broken one' same "$status" 0
create garm-unsafe unsafe
await_running garm-unsafe
garm DeleteInstance GARM_INSTANCE_ID=garm-unsafe GARM_POOL_ID=$POOL
expect 'an unsafe device is told' grep -q 'left a device unsafe' "$WORK/err"
expect 'what is known of it is kept' test -d "$(echo "$WORK"/state/unsafe/garm-unsafe.*)"
# A guest may write what it likes to its exit port, and that says nothing of devices, unless they say it themselves.
for image in gpu unsafe; do
  create "garm-port-$image" "$image"
  await_running "garm-port-$image"
  touch "$folder/garm-port-$image/exit-port"
  echo 75 >"$folder/garm-port-$image/end"
  for _ in {1..200}; do [[ ! -s $folder/garm-port-$image/status ]] || break; sleep 0.05; done
  expect "exit port, $image: status 75" same "$(cat "$folder/garm-port-$image/status")" 75
  sleep 0.2
  garm GetInstance "GARM_INSTANCE_ID=garm-port-$image" GARM_POOL_ID=$POOL
  [[ $image == gpu ]] && state=stopped || state=error
  expect "exit port, $image: $state" same "$(answer .status)" "$state"
  garm DeleteInstance "GARM_INSTANCE_ID=garm-port-$image" GARM_POOL_ID=$POOL
  [[ $image == gpu ]] && count=0 || count=1
  expect "exit port, $image: $count kept as unsafe" same "$(find "$WORK/state/unsafe" -name "garm-port-$image.*" | wc -l)" "$count"
done
create garm-stubborn stubborn
await_running garm-stubborn
garm DeleteInstance GARM_INSTANCE_ID=garm-stubborn GARM_POOL_ID=$POOL
expect 'one that does not power off' same "$status" 0

# Words that are wrong.
for wrong in ../gpu /etc/passwd '' nothing; do
  create garm-wrong "$wrong"
  expect "image '$wrong'" same "$status" 1
  expect "image '$wrong' leaves nothing" not test -e "$folder/garm-wrong"
done
create ../../escape gpu
expect 'a name that leads elsewhere' same "$status" 1
STUB_VALIDATE=78 create garm-wrong gpu
expect 'a configuration that is refused' same "$status" 1
expect 'a configuration that is refused leaves nothing' not test -e "$folder/garm-wrong"
echo '[]' >"$WORK/in" && garm CreateInstance GARM_POOL_ID=$POOL
expect 'no instance' same "$status" 1
: >"$WORK/in"
garm Frobnicate
expect 'an unknown command' same "$status" 1
garm GetVersion
expect 'version' same "$status $(cat "$WORK/out")" '0 v0.1.0'
garm GetSupportedInterfaceVersions
expect 'interfaces' same "$(answer 'join(" ")')" 'v0.1.0 v0.1.1'

create garm-third gpu
garm RemoveAllInstances
expect 'remove all' same "$status $(ls "$folder")" '0 '
finish
