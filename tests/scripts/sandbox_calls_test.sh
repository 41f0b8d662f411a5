#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# scripts/sandbox-calls: what it finds wrong in logs of calls, and what it does not mind.
. "$(dirname "$0")/checks.sh"

# log NAME LINE…: a log of calls; "|" stands for a tab.
log() {
  local name=$1
  shift
  printf '%s\n' "$@" | tr '|' '\t' >"$WORK/$name"
}
judge() { "$REPO/scripts/sandbox-calls" "$@" >"$WORK/said" 2>&1 && status=0 || status=$?; }
said() { grep -q -- "$1" "$WORK/said"; }

log calls-1.log 'role|vcpu|2' 'role|queue|0' 'row|vcpu|always|7|ioctl KVM_RUN|the guest' 'row|vcpu|rare|0|fsync|variables'
log calls-2.log 'role|vcpu|0' 'role|queue|1' 'row|queue|always|0|fallocate|discards' 'row|queue|until-owner|0|openat|files'
log calls-3.log 'role|queue|1' 'row|queue|always|3|fallocate|discards'

judge "$WORK/calls-1.log" "$WORK/calls-3.log"
expect "all is used, or may be unused" same "$status" 0
judge "$WORK"
expect "of a folder: what one run lacks another has" same "$status" 0
expect "it says how many" said '^3 logs, 4 rows, 0 complaints'

judge "$WORK/calls-1.log"
expect "a role that no thread had" same "$status" 1
expect "it is named" said 'no thread had the role queue'

judge "$WORK/calls-1.log" "$WORK/calls-2.log"
expect "a row that is never used" same "$status" 1
expect "it is named with its reason" said 'never used: the row of fallocate (discards), of the roles queue'
expect "rare ones and the owner's are not" not said 'fsync\|openat'

log calls-4.log 'unlisted|vcpu|socket|41|0x1|2'
judge "$WORK"
expect "a call that is in no list" same "$status" 1
expect "it is named" said 'no row for a call of role vcpu: socket (41), second argument 0x1, made 2 times'

log nonsense 'hello'
judge "$WORK/nonsense"
expect "what is no log" same "$status" 1
mkdir "$WORK/empty"
judge "$WORK/empty"
expect "a folder without logs" same "$status" 1
judge "$WORK/absent"
expect "a file that is not there" same "$status" 64
judge
expect "no file" same "$status" 64

# The program in the place of gpuvm passes all on.
printf '#!/bin/bash\nprintf "%%s\\n" "$@"\n' >"$WORK/stub"
chmod +x "$WORK/stub"
LAB_OUT=$WORK LAB_LOGGED_GPUVM=$WORK/stub "$REPO/scripts/lib/gpuvm-with-log" run --events e guest.toml >"$WORK/said"
expect "a run is logged" same "$(sed -n '1,4p' "$WORK/said" | sed 's/calls-[0-9.-]*log/calls/' | tr '\n' ' ')" \
  "run --set sandbox.mode=log --set "
expect "into a file of LAB_OUT" said "sandbox.log=$WORK/calls-.*\.log"
expect "its options stay" same "$(tail -n 3 "$WORK/said" | tr '\n' ' ')" '--events e guest.toml '
LAB_LOGGED_GPUVM=$WORK/stub "$REPO/scripts/lib/gpuvm-with-log" check guest.toml >"$WORK/said"
expect "other verbs are as they are" same "$(tr '\n' ' ' <"$WORK/said")" 'check guest.toml '
finish
