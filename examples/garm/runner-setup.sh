# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a runner's guest does at its first boot: fetches GitHub's runner, registers it for one job by what GARM knows, runs the job, and
# powers off. gpuvm-garm-provider puts the GARM_ variables in front. An image that has the runner in /opt/actions-runner already saves
# the download.
set -euo pipefail

RUNNER=/opt/actions-runner
status_url=${GARM_CALLBACK_URL%/status}/status

garm() { curl --silent --show-error --fail --retry 5 --retry-connrefused -H "Authorization: Bearer $GARM_TOKEN" -H 'Accept: application/json' "$@"; }

# tell STATUS MESSAGE [AGENT_ID]: for `garm-cli runner show`. A runner works without it, too.
tell() {
  local message
  message=$(tr -d '"\\\n' <<<"$2")
  garm -X POST -d "{\"status\":\"$1\",\"message\":\"$message\"${3:+,\"agent_id\":$3}}" "$status_url" >/dev/null || true
}

# However this ends, the guest does: gpuvm then resets the card for the next one.
end() {
  local status=$?
  ((status == 0)) || tell failed "the setup of the runner ended with status $status"
  systemctl poweroff --force
}
trap end EXIT

if [[ -n $GARM_CA_BUNDLE ]]; then
  base64 -d <<<"$GARM_CA_BUNDLE" >/usr/local/share/ca-certificates/garm.crt
  update-ca-certificates
fi

if [[ ! -x $RUNNER/run.sh ]]; then
  tell installing 'downloading the runner'
  mkdir -p "$RUNNER"
  curl --silent --show-error --fail --location --retry 5 --retry-connrefused ${GARM_DOWNLOAD_TOKEN:+-H "Authorization: Bearer $GARM_DOWNLOAD_TOKEN"} \
    -o /var/tmp/runner.tar.gz "$GARM_DOWNLOAD_URL"
  [[ -z $GARM_DOWNLOAD_SHA256 ]] || sha256sum --check --quiet <<<"$GARM_DOWNLOAD_SHA256  /var/tmp/runner.tar.gz"
  tar -xzf /var/tmp/runner.tar.gz -C "$RUNNER"
  "$RUNNER/bin/installdependencies.sh"
fi
id runner >/dev/null 2>&1 || useradd --create-home --shell /bin/bash runner
cd "$RUNNER"

tell installing 'registering the runner'
if [[ $GARM_JIT == true ]]; then
  for name in runner credentials credentials_rsaparams; do
    garm -o ".$name" "$GARM_METADATA_URL/credentials/$name"
  done
  chown -R runner: "$RUNNER"
else
  chown -R runner: "$RUNNER"
  token=$(garm "$GARM_METADATA_URL/runner-registration-token/")
  runuser -u runner -- ./config.sh --unattended --ephemeral --url "$GARM_REPO_URL" --token "$token" --name "$GARM_NAME" --labels "$GARM_LABELS" \
    ${GARM_GROUP:+--runnergroup "$GARM_GROUP"}
fi
agent=$(grep -oiE '"agentid" *: *"?[0-9]+' .runner | grep -oE '[0-9]+$' || true)
tell idle 'the runner waits for its job' "$agent"
unset GARM_TOKEN GARM_DOWNLOAD_TOKEN token
# One job; whether it passes is GitHub's to know.
runuser -u runner -- ./run.sh || true
