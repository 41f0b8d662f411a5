#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# gpuvm dump fdt: dtc takes what it prints; and, as it needs no KVM, what a user can get wrong about a kernel for EFI.
# Usage: dump_test.sh GPUVM SOURCE_DIR
set -u
gpuvm=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0
command -v dtc >/dev/null && command -v perl >/dev/null || { echo "skipped: dtc and perl are needed"; exit 77; }

complain() {
  printf 'FAILED: %s\n' "$1"
  failures=$((failures + 1))
}

# make_kernel FILE [OFFSET FORMAT VALUE]...: a bzImage with a handover entry and a PE header, then changed. Formats are pack's.
make_kernel() {
  perl - "$@" <<'PERL' || exit 1
    my ($file, @changes) = @ARGV;
    my $kernel = "\0" x (0x600 + 0x2000);
    my @fields = (0, "a", "MZ", 0x3c, "V", 0x80, 0x80, "a", "PE", 0x84, "v", 0x8664, 0x86, "v", 1, 0x94, "v", 0xa0, 0x98, "v", 0x20b,
      0xa8, "V", 0x1234, 0xd0, "V", 0x8000, 0xd4, "V", 0x200, 0xdc, "v", 10,
      0x140, "V", 0x2000, 0x144, "V", 0x1000, 0x148, "V", 0x1000, 0x14c, "V", 0x600,
      0x1f1, "C", 2, 0x1f4, "V", 0x200, 0x1fe, "v", 0xaa55, 0x201, "C", 0x6a, 0x202, "a", "HdrS", 0x206, "v", 0x20f, 0x211, "C", 1,
      0x230, "V", 0x200000, 0x236, "v", 0xf, 0x238, "V", 2047, 0x258, "Q<", 0x1000000, 0x260, "V", 0x10000, 0x264, "V", 0x400);
    for (my @all = (@fields, @changes); @all; ) {
      my ($at, $format, $value) = splice @all, 0, 3;
      $value = oct $value if $value =~ /^0x/;
      my $bytes = $format eq "a" ? $value : pack $format, $value;
      substr($kernel, $at =~ /^0x/ ? oct $at : $at, length $bytes) = $bytes;
    }
    open my $out, ">:raw", $file or die "$file: $!\n";
    print $out $kernel;
PERL
}

# good ARGUMENT...: dump prints source, and dtc takes it without a word.
good() {
  if ! "$gpuvm" dump fdt "$@" "$folder/guest.toml" >"$folder/dts" 2>"$folder/stderr"; then
    complain "dump fdt $*: $(cat "$folder/stderr")"
  fi
  dtc -I dts -O dtb -o "$folder/dtb" "$folder/dts" 2>"$folder/dtc" || complain "dtc refuses the tree"
  [ ! -s "$folder/dtc" ] || complain "dtc complains: $(cat "$folder/dtc")"
  [ ! -s "$folder/stderr" ] || complain "dump fdt $* writes to standard error: $(cat "$folder/stderr")"
}

# bad WHAT TEXT [ARGUMENT...]: exit status 78 and one line with TEXT.
bad() {
  what=$1 text=$2
  shift 2
  "$gpuvm" dump fdt "$@" "$folder/guest.toml" >"$folder/stdout" 2>"$folder/stderr"
  status=$?
  [ "$status" -eq 78 ] || complain "$what: exit status $status, not 78"
  [ "$(wc -l <"$folder/stderr")" -eq 1 ] || complain "$what: not one line: $(cat "$folder/stderr")"
  grep -q "^gpuvm: error: .*$text" "$folder/stderr" || complain "$what: no \"$text\" in: $(cat "$folder/stderr")"
  [ ! -s "$folder/stdout" ] || complain "$what: writes to standard output"
}

# bad_kernel WHAT TEXT [OFFSET FORMAT VALUE]...
bad_kernel() {
  what=$1 text=$2
  shift 2
  make_kernel "$folder/kernel" "$@"
  bad "$what" "$folder/kernel .*$text"
}

make_kernel "$folder/kernel"
cat >"$folder/guest.toml" <<'TOML'
[machine]
memory = "256MiB"
[boot]
mode = "efi-handover"
kernel = "kernel"
cmdline = 'console=ttyS0 a="b c"'
TOML
good
grep -q 'bootargs = "console=ttyS0 a=\\"b c\\"";' "$folder/dts" || complain "the command line is not there"
grep -q 'handover;' "$folder/dts" || complain "the kernel is not entered by the handover protocol"
good --set machine.memory=6GiB
grep -q 'memory@100000000 {' "$folder/dts" || complain "there is no memory above 4 GiB"
echo initrd >"$folder/initrd"
good --set boot.initrd=initrd
grep -q 'linux,initrd-start' "$folder/dts" || complain "the initrd is not there"
# xloadflags without the handover bits: the PE entry.
make_kernel "$folder/kernel" 0x236 v 0x3
good
! grep -q 'handover;' "$folder/dts" || complain "a kernel without handover entry is entered there"

bad_kernel "no EFI stub" 'has no EFI stub.*boot.mode = "linux"' 0x236 v 0x3 0 v 0
bad_kernel "PE header past the end" 'malformed PE header' 0x236 v 0x3 0x3c V 0xfffffff0
bad_kernel "no PE signature" 'malformed PE header' 0x236 v 0x3 0x80 V 0
bad_kernel "a PE header of another machine" 'machine 0xaa64' 0x236 v 0x3 0x84 v 0xaa64
bad_kernel "sizes of the PE header that contradict each other" 'contradict' 0x236 v 0x3 0xd0 V 0xffffffff
bad_kernel "a section outside of the image" 'section 0' 0x236 v 0x3 0x144 V 0xfffff000
bad_kernel "a handover entry past the code" 'handover entry at 0xffffffff' 0x264 V 0xfffffdff
bad_kernel "absurd init_size" 'init_size' 0x260 V 0xfffff000
bad_kernel "init_size 0" 'init_size' 0x260 V 0
bad_kernel "init_size larger than the memory" "MiB to start through EFI).*give it at least" 0x260 V 0x20000000
make_kernel "$folder/whole"
head -c 5000 "$folder/whole" >"$folder/kernel"
bad "a kernel that is cut off" 'kernel is cut off'
head -c 300 "$folder/whole" >"$folder/kernel"
bad "a kernel of 300 bytes" 'not a Linux kernel'
printf '\177ELF and no more' >"$folder/kernel"
bad "an ELF file" 'has no EFI stub'
mv "$folder/whole" "$folder/kernel"
dd if=/dev/zero of="$folder/initrd" bs=1M seek=250 count=0 2>/dev/null
bad "an initrd larger than the memory" 'its initrd (250 MiB) do not fit.*give it at least' --set boot.initrd=initrd
bad "no initrd" 'absent' --set boot.initrd=absent

[ "$failures" -eq 0 ]
