# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2054
# One run of the lab: its folder, QEMU's command line, the processes around QEMU, and their end. Sourced by scripts/lab.
#
# The run folder build/lab/runs/ID holds console.log (serial console: panics), kmsg.log (the lab host's kernel log),
# output.log (what COMMAND printed), qemu.log, xvfb.log, status, hang.txt (registers of a lab host that hung), and config/, which the
# lab host reads.
# (SC2054: the commas in the arrays are QEMU's.)

LAB_RUNS_KEPT=6
LAB_HEARTBEAT_LIMIT=120 # looks, one a second, without a heartbeat: the lab host hangs; it beats every 5 s
LAB_EXIT_TIMEOUT=124
LAB_EXIT_DEAD=125
lab_qemu_pid=
lab_helper_pids=()

# Keeps the newest run folders; one whose process lives is in use.
lab_prune_runs() {
  local run
  local -a runs
  mapfile -t runs < <(find "$LAB_CACHE/runs" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | sort -r)
  for run in "${runs[@]:LAB_RUNS_KEPT}"; do
    if [[ -r $run/pid ]] && kill -0 "$(<"$run/pid")" 2>/dev/null; then
      continue
    fi
    rm -rf "$run"
  done
}

lab_make_run_dir() {
  LAB_RUN=$LAB_CACHE/runs/$(date +%Y%m%d-%H%M%S)-$$
  mkdir -p "$LAB_RUN/config"
  printf '%s\n' $$ >"$LAB_RUN/pid"
  LAB_OUT_DIR=${LAB_OUT_DIR:-$LAB_RUN/out}
  mkdir -p "$LAB_OUT_DIR"
  LAB_OUT_DIR=$(cd "$LAB_OUT_DIR" && pwd)
  : >"$LAB_RUN/heartbeat"
  : >"$LAB_RUN/output.log"
}

# The script that the lab host runs: the caller's place and variables, then COMMAND.
lab_write_command() {
  local name
  {
    printf 'cd %q\n' "$PWD"
    printf 'export HOME=/root LANG=C.UTF-8 TERM=%q PATH=%q\n' "${TERM:-dumb}" "$LAB_CALLER_PATH:$LAB_REPO/tests/lab/host"
    for name in "${!LAB_CALLER@}"; do
      [[ $name == LAB_CALLER_PATH ]] || printf 'export %s=%q\n' "${name#LAB_CALLER_ENV_}" "${!name}"
    done
    printf 'export LAB=1 LAB_OUT=%q\n' "$LAB_OUT_DIR"
    printf 'exec'
    printf ' %q' "$@"
    printf '\n'
  } >"$LAB_RUN/config/command"
}

lab_write_config() {
  local config=$LAB_RUN/config
  lab_write_command "$@"
  printf '%s\n' "$LAB_REPO/tests/lab/host/init" >"$config/init"
  printf '%s\n' "$LAB_OUT_DIR" >"$config/out"
  lab_kernel_modules 6.12 >"$config/modules"
  if [[ -n $LAB_SCREENSHOT ]]; then
    printf 'final.%s\n' "${LAB_SCREENSHOT##*.}" >"$config/final-screenshot"
  fi
}

# Nested KVM needs the CPU flag and the module's consent; without either the lab runs on TCG.
lab_choose_accel() {
  local module
  LAB_ACCEL=${LAB_CALLER_ENV_LAB_ACCEL:-}
  [[ -z $LAB_ACCEL ]] || return 0
  LAB_ACCEL=tcg
  grep -qwE 'svm|vmx' /proc/cpuinfo && [[ -w /dev/kvm ]] || return 0
  for module in kvm_amd kvm_intel; do
    if [[ $(cat /sys/module/$module/parameters/nested 2>/dev/null) == [1Y] ]]; then
      LAB_ACCEL=kvm
    fi
  done
}

lab_add_machine() {
  local append="console=ttyS0 panic=-1 oops=panic quiet iommu=pt no_timer_check cryptomgr.notests"
  QEMU_ARGS+=(-name gpuvm-lab -nodefaults -no-user-config -no-reboot -M q35,kernel-irqchip=split)
  if lab_has_device vgl; then QEMU_ARGS+=(-display gtk,gl=on); else QEMU_ARGS+=(-display none); fi
  if [[ $LAB_ACCEL == kvm ]]; then
    QEMU_ARGS+=(-accel kvm -cpu host)
  else
    QEMU_ARGS+=(-accel "tcg,thread=multi,tb-size=${LAB_CALLER_ENV_LAB_TB_SIZE:-512}" -cpu EPYC,+svm,+npt
      -plugin "$(lab_qemu_path "$LAB_QEMU_PLUGIN")")
    ! lab_has_device vgl || QEMU_ARGS+=(-plugin "$(lab_qemu_path "$LAB_GL_PLUGIN")")
  fi
  if [[ $LAB_IOMMU == amd ]]; then
    # Before 10.2 QEMU's model of it loses the DMA of all but its own machine's devices.
    QEMU_ARGS+=(-device "amd-iommu,intremap=on$([[ $LAB_QEMU_RELEASE == trixie ]] || echo ,dma-remap=on)")
  else
    QEMU_ARGS+=(-device intel-iommu,intremap=on,caching-mode=on,aw-bits=48)
    append+=" intel_iommu=on"
  fi
  QEMU_ARGS+=(-smp "$LAB_CPUS" -m "$LAB_MEMORY" -kernel "$(lab_kernel_elf 6.12)" -initrd "$LAB_INITRAMFS" -append "$append")
}

lab_add_share() {
  local tag=$1 path=$2 slot=$3 options=$4
  QEMU_ARGS+=(-fsdev "local,id=$tag,path=$(lab_qemu_path "$path"),security_model=none,multidevs=remap$options"
    -device "virtio-9p-pci,bus=pcie.0,addr=$slot,fsdev=$tag,mount_tag=$tag")
}

# Files take what leaves the lab host: QEMU never waits for a slow reader, and the log survives.
lab_add_ports() {
  local run port
  run=$(lab_qemu_path "$LAB_RUN")
  QEMU_ARGS+=(-chardev "file,id=console,path=$run/console.log" -serial chardev:console
    -chardev "pipe,id=qmp,path=$run/qmp" -mon chardev=qmp,mode=control
    -chardev "pipe,id=control,path=$run/control"
    -chardev "file,id=output,path=$run/output.log" -chardev "file,id=status,path=$run/status"
    -chardev "file,id=heartbeat,path=$run/heartbeat" -chardev "file,id=kmsg,path=$run/kmsg.log"
    -chardev "pipe,id=monitor,path=$run/monitor" -mon chardev=monitor,mode=readline
    -device virtio-serial-pci,id=ports,bus=pcie.0,addr=0x18)
  for port in output status control heartbeat kmsg; do
    QEMU_ARGS+=(-device "virtserialport,bus=ports.0,chardev=$port,name=lab.$port")
  done
}

lab_make_qemu_args() {
  QEMU_ARGS=()
  lab_add_machine
  lab_add_share labroot / 0x19 ,readonly=on
  lab_add_share labconfig "$LAB_RUN/config" 0x1a ,readonly=on
  lab_add_share labout "$LAB_OUT_DIR" 0x1b ''
  lab_add_ports
  lab_add_devices
  if [[ -n ${LAB_CALLER_ENV_LAB_QEMU_EXTRA:-} ]]; then
    # For experiments with the lab itself; words, not quoted strings.
    read -r -a extra <<<"$LAB_CALLER_ENV_LAB_QEMU_EXTRA"
    QEMU_ARGS+=("${extra[@]}")
  fi
}

# Asks QEMU for one thing over QMP (descriptors 5 to QEMU, 6 from it); prints its error, or nothing.
lab_qmp() {
  local line
  printf '%s\n' "$1" >&5
  while IFS= read -r -t 30 line <&6; do
    case $line in
      *'"return"'*) return 0 ;;
      *'"error"'*)
        printf '%s\n' "$line" | sed -n 's/.*"desc": "\([^"]*\)".*/\1/p'
        return 0
        ;;
    esac
  done
  echo "QEMU's monitor does not answer"
}

lab_screendump() {
  lab_qmp "$(printf '{"execute":"screendump","arguments":{"filename":"%s","device":"%s","head":0,"format":"%s"}}' \
    "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')" "$2" "${1##*.}")"
}

# Serves lab-screenshot: requests come from the lab host, files appear in LAB_OUT.
lab_broker() {
  local verb name device error
  exec 5<>"$LAB_RUN/qmp.in" 6<>"$LAB_RUN/qmp.out" 7<>"$LAB_RUN/control.in" 8<>"$LAB_RUN/control.out"
  lab_qmp '{"execute":"qmp_capabilities"}'
  # Without a time limit: one that runs out in the middle of a request would take away what was read of it. The watchdog ends
  # this when QEMU has ended.
  while read -r verb name device <&8; do
    if [[ $verb != screenshot || ! $name =~ ^[A-Za-z0-9._-]+\.(png|ppm)$ || ! $device =~ ^[a-z0-9]+$ ]]; then
      printf 'bad request\n' >&7
      continue
    fi
    error=$(lab_screendump "$LAB_OUT_DIR/$name" "$device")
    # The same again in the format that --screenshot wants.
    [[ -n $error || -z $LAB_SCREENSHOT ]] || error=$(lab_screendump "$LAB_RUN/last.${LAB_SCREENSHOT##*.}" "$device")
    printf '%s\n' "${error:-ok}" >&7
  done
}

# What the CPUs of a lab host that hangs are doing, for the run's folder.
lab_record_hang() {
  local line
  printf 'info registers -a\ninfo lapic\ninfo pic\n' >&"$1"
  while IFS= read -r -t 2 line <&"$2"; do printf '%s\n' "$line"; done >"$LAB_RUN/hang.txt"
}

# lab_watchdog QEMU BROKER: ends QEMU, and says why in the file verdict, when the time is up, the lab host's heart has stopped, or
# the main script was killed; then the broker.
lab_watchdog() {
  local started=$SECONDS silence=0 size=0 now pause monitor_in monitor_out
  exec {pause}<> <(:) {monitor_in}<>"$LAB_RUN/monitor.in" {monitor_out}<>"$LAB_RUN/monitor.out"
  while kill -0 "$1" 2>/dev/null; do
    read -r -t 1 <&$pause || true
    now=$(stat -c %s "$LAB_RUN/heartbeat")
    # Looks are counted, not seconds: where this whole machine stands still, nobody hangs.
    silence=$((now == size ? silence + 1 : 0))
    size=$now
    if ((SECONDS - started >= LAB_TIMEOUT)); then
      echo timeout >"$LAB_RUN/verdict"
      break
    elif ((silence >= LAB_HEARTBEAT_LIMIT)) || ! kill -0 $$ 2>/dev/null; then
      echo hang >"$LAB_RUN/verdict"
      lab_record_hang "$monitor_in" "$monitor_out"
      break
    fi
  done
  kill -KILL "$1" "$2" 2>/dev/null || true
}

lab_stop_all() {
  local pid
  for pid in $lab_qemu_pid "${lab_helper_pids[@]}"; do
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true # or the shell reports the kill
  done
  lab_qemu_pid=
  lab_helper_pids=()
  rm -f "${LAB_RUN:?}"/{qmp,control,monitor}.{in,out}
}

# Runs QEMU to its end; what COMMAND prints appears on standard output meanwhile.
lab_run_qemu() {
  local tail_pid port
  for port in qmp control monitor; do
    mkfifo "$LAB_RUN/$port".{in,out}
  done
  trap lab_stop_all EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  ! lab_has_device vgl || lab_start_screen
  # QEMU dies with this script even if that is killed with -9.
  setpriv --pdeathsig KILL "$LAB_QEMU" "${QEMU_ARGS[@]}" </dev/null >"$LAB_RUN/qemu.log" 2>&1 &
  lab_qemu_pid=$!
  tail -c +1 -s 0.1 --pid="$lab_qemu_pid" -f "$LAB_RUN/output.log" 2>/dev/null &
  tail_pid=$!
  lab_broker >/dev/null 2>"$LAB_RUN/broker.log" </dev/null &
  disown $! # or the shell reports that the watchdog has killed it
  lab_helper_pids+=("$tail_pid" $!)
  lab_watchdog "$lab_qemu_pid" $! >/dev/null 2>&1 </dev/null &
  lab_helper_pids+=($!)
  wait "$lab_qemu_pid" 2>/dev/null || true
  lab_qemu_pid=
  wait "$tail_pid" || true
  lab_stop_all
}

lab_copy_screenshot() {
  [[ -n $LAB_SCREENSHOT ]] || return 0
  if [[ -r $LAB_RUN/last.${LAB_SCREENSHOT##*.} ]]; then
    cp "$LAB_RUN/last.${LAB_SCREENSHOT##*.}" "$LAB_SCREENSHOT"
  else
    printf '%s: no screenshot was taken; see %s\n' "$LAB_SELF" "$LAB_RUN/broker.log" >&2
  fi
}

# Says how the lab host ended, and ends this script with COMMAND's exit status.
lab_finish() {
  local verdict=none
  [[ -r $LAB_RUN/verdict ]] && verdict=$(<"$LAB_RUN/verdict")
  if [[ -s $LAB_RUN/status ]]; then
    lab_copy_screenshot
    exit "$(<"$LAB_RUN/status")"
  fi
  if [[ $verdict == timeout ]]; then
    lab_die "stopped after $LAB_TIMEOUT s (--timeout); the lab host's kernel log is $LAB_RUN/kmsg.log" $LAB_EXIT_TIMEOUT
  fi
  # The line that says what happened, and the page of registers and calls behind it.
  grep -haE -A 30 'LAB-INIT-FAILED|Kernel panic|Oops|BUG:|rcu: .*stall|soft lockup' "$LAB_RUN/console.log" | head -n 40 >&2 \
    || tail -n 5 "$LAB_RUN/qemu.log" >&2 || true
  [[ ! -e $LAB_RUN/hang.txt ]] || grep -aE '^(CPU#|RIP=)' "$LAB_RUN/hang.txt" >&2 || true
  if [[ $verdict == hang ]]; then
    lab_die "the lab host hung (no heartbeat for $LAB_HEARTBEAT_LIMIT s); see $LAB_RUN/console.log and hang.txt" $LAB_EXIT_DEAD
  fi
  lab_die "the lab host died before COMMAND ended; see $LAB_RUN/console.log" $LAB_EXIT_DEAD
}
