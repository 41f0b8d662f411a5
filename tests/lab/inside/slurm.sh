#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/jobs.sh"

CARDS=(0000:04:00.0 0000:06:00.0)
PORT=0000:00:05.0 # above the first
EXAMPLES=$PWD/examples/slurm
SLURM=$WORK/slurm
export SLURM_CONF=$SLURM/slurm.conf
GPUVM=$(realpath "$GPUVM") # Slurm calls it from anywhere
KINDS=(pass fail pass panic)
declare -A STATUS=([pass]=0 [fail]=3 [panic]=121)

group_of() { basename "$(readlink -f "/sys/bus/pci/devices/$1/iommu_group")"; }

# The first way to bind that docs/gpu-setup.md has.
bind_to_vfio() {
  local device=/sys/bus/pci/devices/$1
  echo vfio-pci >"$device/driver_override"
  [[ ! -e $device/driver ]] || echo "$1" >"$device/driver/unbind"
  echo "$1" >/sys/bus/pci/drivers_probe
}

# What the examples say, for two nodes on one machine.
write_configuration() {
  local name number
  mkdir -p "$SLURM/state" "$SLURM/munge" "$SLURM/jobs"
  head -c 64 /dev/urandom >"$SLURM/munge/key"
  chmod 600 "$SLURM/munge/key"
  for name in prolog task-prolog epilog health; do
    printf '#!/bin/bash\nexport GPUVM=%s SLURM_CONF=%s\nexec %s/gpuvm-%s 2>>%s/scripts.log\n' \
      "$GPUVM" "$SLURM_CONF" "$EXAMPLES" $name "$LAB_OUT" >"$SLURM/gpuvm-$name"
    chmod +x "$SLURM/gpuvm-$name"
  done
  {
    grep -E '^(GresTypes|SelectType|PropagateResourceLimitsExcept|PrologFlags|HealthCheckNodeState)' "$EXAMPLES/slurm.conf" \
      | sed 's/CR_Core_Memory/CR_Core/'
    sed -nE "s#^(Prolog|TaskProlog|Epilog|HealthCheckProgram)=/etc/slurm/#\1=$SLURM/#p" "$EXAMPLES/slurm.conf"
    cat <<END
ClusterName=gpuvm
SlurmctldHost=$(hostname -s)(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket=$SLURM/munge/socket
SlurmUser=root
SlurmdParameters=config_overrides
StateSaveLocation=$SLURM/state
SlurmdSpoolDir=$SLURM/%n
SlurmctldPidFile=$SLURM/slurmctld.pid
SlurmdPidFile=$SLURM/%n.pid
SlurmctldLogFile=$LAB_OUT/slurmctld.log
SlurmdLogFile=$LAB_OUT/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=1
HealthCheckInterval=5
NodeName=n1 NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=17001 CPUs=2 Gres=gpu:1
NodeName=n2 NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=17002 CPUs=2 Gres=gpu:1
PartitionName=gpu Nodes=n1,n2 Default=YES State=UP MaxTime=10
END
  } >"$SLURM_CONF"
  echo 'IgnoreSystemd=yes' >"$SLURM/cgroup.conf" # there is none
  for number in 1 2; do
    printf 'NodeName=n%d Name=gpu File=/dev/vfio/%s\n' $number "$(group_of "${CARDS[number - 1]}")"
  done >"$SLURM/gres.conf"
}

start_daemons() {
  mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir -p /sys/fs/cgroup/system.slice
  munged --force --key-file="$SLURM/munge/key" --socket="$SLURM/munge/socket" --pid-file="$SLURM/munge/pid" \
    --log-file="$LAB_OUT/munge.log" --seed-file="$SLURM/munge/seed"
  slurmctld -c
  slurmd -N n1
  slurmd -N n2
}
stop_daemons() {
  local name
  for name in n1 n2 slurmctld munge/; do
    end_process "$(cat "$SLURM/${name}${name:+.pid}" 2>/dev/null || cat "$SLURM/munge/pid")"
  done
}
end_process() {
  kill "$1" 2>/dev/null || true
  until_true 30 test ! -e "/proc/$1"
}

until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    pause 0.2
  done
}
state_of_node() { sinfo --noheader --Node --nodes "$1" --format '%T %E'; }
# node_is NODE STATE [REASON]: by beginnings of words.
node_is() { state_of_node "$1" | grep -q "^$2[a-z*]* ${3:-}"; }
queue_is_empty() { [[ -z $(squeue --noheader) ]]; }

# What examples/slurm/job.sh does, with this guest's options; what a job leaves goes to $LAB_OUT at once.
cat >"$WORK/job.sh" <<END
#!/bin/bash
number=\${SLURM_ARRAY_TASK_ID:-\$1} kinds=(${KINDS[*]}) status=0
kind=\${kinds[number % \${#kinds[@]}]} name=job\$number
"$GPUVM" test --set "name=\$name" --set "pci.0.host=\$GPUVM_CARDS" --set "boot.cmdline=job=\$number kind=\$kind" \\
  --artifacts "$LAB_OUT/jobs/\$name" "$WORK/job.toml" >/dev/null 2>"$LAB_OUT/jobs/\$name.said" </dev/null || status=\$?
echo "\$name \$kind \$status \$SLURMD_NODENAME \$GPUVM_CARDS" >>"$LAB_OUT/jobs/list"
exit \$status
END
chmod +x "$WORK/job.sh"
make_small_guest job <<END
[[pci]]
host = "${CARDS[0]}"
[test]
exit_port = true
END

# Lines "FROM UNTIL CARD" of each job, by the guest's own words on its console, which have the time. Fails where one card had two.
no_card_twice() {
  perl -e '
    my (%uses, $bad);
    for my $log (@ARGV) {
      open my $file, "<", $log or die; my $text = join "", <$file>;
      my ($from, $size) = $text =~ /^(\S+) HAS \S+ (\d+)/m or next;
      my ($until) = $text =~ /^(\S+) STILL/m or next;
      push @{$uses{$size}}, [$from, $until, $log];
    }
    for my $size (keys %uses) {
      my @all = sort { $a->[0] cmp $b->[0] } @{$uses{$size}};
      print scalar(@all), " jobs on the card of $size\n";
      for (1 .. $#all) { $bad = print "$all[$_ - 1][2] and $all[$_][2]\n" if $all[$_ - 1][1] gt $all[$_][0] }
    }
    exit($bad || keys %uses != 2)' "$LAB_OUT"/jobs/*/console.log
}
all_as_expected() {
  local name kind status rest
  while read -r name kind status rest; do
    [[ $status == "${STATUS[$kind]}" ]] || { echo "$name, $kind: $status"; return 1; }
  done <"$LAB_OUT/jobs/list"
}

hostname gpuvm-lab
ip link set lo up
ip address add 192.0.2.1/32 dev lo # names are looked up only where there is an address beside 127.0.0.1
modprobe -a nvme vfio-pci
mkdir -p "$LAB_OUT/jobs"
for card in "${CARDS[@]}"; do
  until_true 20 test -e "/sys/bus/pci/devices/$card/driver"
  bind_to_vfio "$card"
done
before=$(host_state)
write_configuration
start_daemons
expect "both nodes are up" until_true 60 eval 'node_is n1 idle && node_is n2 idle'
expect "the nodes' cards" diff <(printf '0 %s %s\n' "$(group_of "${CARDS[1]}")" "${CARDS[1]}") <(SLURMD_NODENAME=n2 "$EXAMPLES/gpuvm-slurm" cards)

# Many jobs.
sbatch --quiet --array="0-$((LAB_SLURM_JOBS - 1))%2" --gres=gpu:1 --output=/dev/null "$WORK/job.sh"
expect "$LAB_SLURM_JOBS jobs end" until_true $((120 + 30 * LAB_SLURM_JOBS)) queue_is_empty
expect "$LAB_SLURM_JOBS jobs ran" test "$(wc -l <"$LAB_OUT/jobs/list")" = "$LAB_SLURM_JOBS"
expect "each with its status" all_as_expected
expect "no card had two of them" no_card_twice
expect "both nodes took jobs" test "$(cut -d' ' -f4 "$LAB_OUT/jobs/list" | sort -u | wc -l)" = 2
expect "and are free when the last epilog is over" until_true 60 eval 'node_is n1 idle && node_is n2 idle'

# The way to the first card is cut: all that is read of it is ones.
buses=$(setpci -s $PORT 18.L) command=$(setpci -s $PORT COMMAND)
setpci -s $PORT COMMAND=0 19.B=fe 1a.B=fe
cut=$SECONDS
expect "its node is drained, with the reason" until_true 30 node_is n1 drain "gpuvm: ${CARDS[0]} does not answer"
echo "DRAINED after $((SECONDS - cut)) s"
expect "within 10 s" test $((SECONDS - cut)) -le 10
sbatch --quiet --array="900,904,908" --gres=gpu:1 --output=/dev/null "$WORK/job.sh"
expect "the queue goes on" until_true 120 queue_is_empty
expect "on the other node" test "$(grep -c "^job90. pass 0 n2 ${CARDS[1]}$" "$LAB_OUT/jobs/list")" = 3

# The card comes back, and with it the node, by its own test.
setpci -s $PORT 18.L="$buses" COMMAND="$command"
echo 1 >"/sys/bus/pci/devices/${CARDS[0]}/remove"
echo 1 >/sys/bus/pci/rescan
until_true 20 test -e "/sys/bus/pci/devices/${CARDS[0]}/driver"
bind_to_vfio "${CARDS[0]}"
expect "its group is the one that gres.conf names" grep -q "/dev/vfio/$(group_of "${CARDS[0]}")$" "$SLURM/gres.conf"
expect "the node is resumed" until_true 120 node_is n1 idle
sbatch --quiet --nodelist=n1 --gres=gpu:1 --output=/dev/null "$WORK/job.sh" 940
expect "it takes a job" until_true 120 queue_is_empty
expect "with its card" grep -q "^job940 pass 0 n1 ${CARDS[0]}$" "$LAB_OUT/jobs/list"
stop_daemons
expect "nothing is left" state_is "$before"
finish
