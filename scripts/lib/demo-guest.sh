#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# /run.sh of the demo guest: draws what the guest is and owns on the screen of the GPU that it owns, and prints the devices on
# the serial console. Runs in scripts/guest-image's busybox. Says DEMO-SCREEN-READY, then waits for one line: "frame" makes it
# print the frame buffer (gzip, base64), for machines without a camera on the monitor; anything else ends it.

TTY=/dev/tty1
ESC=$(printf '\033')
RESET="${ESC}[0m"
HEAD="${ESC}[1;36m"
DIM="${ESC}[37m"
GOOD="${ESC}[1;32m"
TITLE="${ESC}[1;37m"

at() { printf '%s[%d;%dH' "$ESC" "$1" "$2"; }

# Waits for what appears a moment after its driver: at most 10 s for all of them together.
wait_for_devices() {
  tries=0
  while [ $tries -lt 100 ]; do
    if [ -c /dev/fb0 ] && { [ ! -d /sys/module/usb_storage ] || [ -b /dev/sda ]; }; then
      return
    fi
    tries=$((tries + 1))
    usleep 100000
  done
}

banner() {
  cat <<'END'
 ██████  ██████  ██    ██ ██    ██ ███    ███
██       ██   ██ ██    ██ ██    ██ ████  ████
██   ███ ██████  ██    ██ ██    ██ ██ ████ ██
██    ██ ██      ██    ██  ██  ██  ██  ██  ██
 ██████  ██       ██████    ████   ██      ██
END
}

draw_banner() {
  row=$1
  banner | while IFS= read -r line; do
    at "$row" 6
    printf '%s%s%s' "$TITLE" "$line" "$RESET"
    row=$((row + 1))
  done
  at "$1" 58
  printf '%sThis guest owns this GPU.%s' "$GOOD" "$RESET"
  at $(($1 + 2)) 58
  printf 'Every pixel was written by the guest, straight into the memory of the card:'
  at $(($1 + 3)) 58
  printf 'its BARs are mapped into the guest, its interrupts arrive without an exit to gpuvm,'
  at $(($1 + 4)) 58
  printf 'its DMA is confined by the IOMMU.'
}

# section ROW COLUMN WIDTH TITLE <lines
section() {
  row=$1 column=$2 width=$3
  at "$row" "$column"
  printf '%s%s%s %s' "$HEAD" "$4" "$RESET" "${ESC}[36m"
  printf '%*s' $((width - ${#4} - 1)) '' | sed 's/ /─/g'
  printf '%s' "$RESET"
  while IFS= read -r line; do
    row=$((row + 1))
    at "$row" "$column"
    printf '%s' "$line"
  done
}

fact() { printf '%s%-12s%s%s\n' "$DIM" "$1" "$RESET" "$2"; }

# A CPU without a brand string has the model name "FAMILY/MODEL".
processor_name() {
  awk -F': ' '/^vendor_id/ { vendor = $2 } /^cpu family/ { family = $2 } /^model\t/ { model = $2 } /^model name/ { name = $2 }
    /^$/ { exit }
    END { if (name ~ /^[0-9a-f]+\/[0-9a-f]+$/) print vendor " family " family " model " model; else print name }' /proc/cpuinfo
}

machine_facts() {
  fact kernel "Linux $(uname -r)"
  fact processor "$(grep -c ^processor /proc/cpuinfo) x $(processor_name | cut -c1-50)"
  fact memory "$(awk '/^MemTotal/ { printf "%d MiB", $2 / 1024 }' /proc/meminfo)"
  fact monitor "$(cat /sys/class/dmi/id/product_name 2>/dev/null), up for $(cut -d. -f1 /proc/uptime) s"
  fact tables "ACPI $(cd /sys/firmware/acpi/tables && for t in [A-Z]*; do [ -f "$t" ] && printf '%s ' "$t"; done)"
  fact hypervisor "$(dmesg | sed -n 's/.*Hypervisor detected: //p' | head -n 1), clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
}

display_facts() {
  fact frame "$(cat /sys/class/graphics/fb0/name) $(tr , x </sys/class/graphics/fb0/virtual_size), $(cat /sys/class/graphics/fb0/bits_per_pixel) bits"
  for node in /dev/dri/*; do
    [ -c "$node" ] && fact device "$node"
  done
  for connector in /sys/class/drm/card*-*; do
    [ -e "$connector/status" ] && fact connector "${connector##*/}: $(cat "$connector/status")"
  done
  sed -n 's/^ *[0-9]* \[.*\]: //p' /proc/asound/cards 2>/dev/null | while read -r card; do fact sound "$card"; done
  for name in /sys/bus/usb/devices/*/product; do
    [ -e "$name" ] && fact usb "$(cat "$name")"
  done | grep -v 'Host Controller'
  [ -b /dev/sda ] && fact disk "/dev/sda, $(($(cat /sys/block/sda/size) / 2048)) MiB"
}

# The memory BARs of a function: their places and sizes, as the kernel sees them.
bars() {
  number=0
  while read -r start end flags; do
    if [ $number -lt 6 ] && [ $((end)) -gt 0 ] && [ $((flags & 0x200)) != 0 ]; then
      size=$(((end - start + 1) / 1024)) unit=KiB
      [ $size -ge 1024 ] && size=$((size / 1024)) unit=MiB
      [ $size -ge 1024 ] && [ $unit = MiB ] && size=$((size / 1024)) unit=GiB
      kind=''
      [ $((flags & 0x2000)) = 0 ] || kind=' prefetchable'
      printf 'BAR %d: %d %s at %s%s\n' $number $size $unit "$start" "$kind"
    fi
    number=$((number + 1))
  done <"$1/resource"
}

driver_of() {
  [ -e "$1/driver" ] && basename "$(readlink "$1/driver")" || echo none
}

interrupts_of() {
  count=0
  for irq in "$1"/msi_irqs/*; do
    [ -e "$irq" ] && count=$((count + 1))
  done
  if [ $count -gt 0 ]; then
    echo "$count MSI vector(s)"
  elif [ "$(cat "$1/irq")" -gt 0 ]; then
    echo "pin interrupt $(cat "$1/irq")"
  else
    echo 'no interrupt'
  fi
}

# What lies behind the root ports: the devices that the guest owns.
owned_functions() {
  for function in /sys/bus/pci/devices/*; do
    case ${function##*/} in
      0000:00:*) ;;
      *) echo "$function" ;;
    esac
  done
}

# A function's name as lspci knows it, without the address.
name_of() { lspci -s "${1##*/}" | cut -d' ' -f2- | cut -c1-"$2"; }

draw_functions() {
  for function in $(owned_functions); do
    printf '%s%s%s  %s\n' "$GOOD" "${function##*/}" "$RESET" "$(name_of "$function" 110)"
    printf '              driver %s%s%s, %s\n' "$TITLE" "$(driver_of "$function")" "$RESET" "$(interrupts_of "$function")"
    bars "$function" | sed 's/^/              /'
  done
}

kernel_log() {
  dmesg | grep -iE '\[drm\]|fb0|bochs|amdgpu|nouveau|i915|radeon|xhci|usb-storage|scsi 0|fbcon|Console: switching' | cut -c1-150 | tail -n "$1"
}

draw_text() {
  printf '%s[2J%s[?25l' "$ESC" "$ESC"
  draw_banner 5
  machine_facts | section 12 6 70 'machine'
  display_facts | section 12 84 70 'screen and peripherals'
  draw_functions | section 22 6 148 'passed-through PCI functions'
  rest=$((ROWS - 4 - 35))
  [ $rest -lt 1 ] || kernel_log $rest | section 35 6 148 'kernel log'
}

# One row of pixels, XRGB: the hues from left to right.
hue_row() {
  # shellcheck disable=SC2059 # the format is the data
  printf "$(awk -v width="$1" 'BEGIN {
    for (x = 0; x < width; x++) {
      h = 6 * x / width; s = int(h); f = int(255 * (h - s)); g = 255 - f
      if (s == 0) { r = 255; n = f; b = 0 } else if (s == 1) { r = g; n = 255; b = 0 }
      else if (s == 2) { r = 0; n = 255; b = f } else if (s == 3) { r = 0; n = g; b = 255 }
      else if (s == 4) { r = f; n = 0; b = 255 } else { r = 255; n = 0; b = g }
      printf "\\%03o\\%03o\\%03o\\000", b, n, r
    }
  }')"
}

# strip FIRST: the rows of /tmp/strip, at row FIRST of the screen. In one write: of a write of exactly one row Linux's frame
# buffer helper (drm_fb_helper_memory_range_to_clip) computes an empty rectangle and shows nothing.
strip() {
  dd if=/tmp/strip of=/dev/fb0 bs=$((STRIDE * STRIP_ROWS)) seek=$(($1 / STRIP_ROWS)) 2>/dev/null
}

# Above and below the text, where the height allows it.
draw_strips() {
  [ "$(cat /sys/class/graphics/fb0/bits_per_pixel)" = 32 ] || return
  STRIDE=$(cat /sys/class/graphics/fb0/stride) STRIP_ROWS=32
  hue_row $((STRIDE / 4)) >/tmp/row
  count=0
  while [ $count -lt $STRIP_ROWS ]; do
    cat /tmp/row
    count=$((count + 1))
  done >/tmp/strip
  strip 0
  [ $((HEIGHT % STRIP_ROWS)) != 0 ] || strip $((HEIGHT - STRIP_ROWS))
  # Drivers copy what was written to the card a moment later.
  sleep 1
}

print_frame() {
  echo "DEMO-FRAME $(tr , ' ' </sys/class/graphics/fb0/virtual_size) $(cat /sys/class/graphics/fb0/stride)"
  gzip -1 </dev/fb0 | base64
  echo DEMO-FRAME-END
}

wait_for_devices
lspci -k 2>/dev/null
if [ -c /dev/fb0 ]; then
  HEIGHT=$(cut -d, -f2 /sys/class/graphics/fb0/virtual_size)
  ROWS=$((HEIGHT / 16))
  dmesg -n 1
  draw_text >$TTY 2>/dev/null
  draw_strips
else
  echo 'No /dev/fb0: this GPU has no display driver in the guest image.'
fi
echo DEMO-SCREEN-READY
read -r request
[ "$request" != frame ] || print_frame
exit 0
