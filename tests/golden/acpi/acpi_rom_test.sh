#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# acpiexec evaluates _ROM as the guest's tables have it, over memory as a guest has it.
#   acpi_rom_test.sh EMITTER SIZE
# EMITTER writes the DSDT, the memory that its operation region names, and the image of SIZE bytes that must come out. The memory
# is mapped into acpiexec at the region's own address (map_memory.c), so that the method runs as it is.
# Exit status 77 (skipped): the tools are not installed.
set -u
emitter=$1 size=$2 here=$(cd "$(dirname "$0")" && pwd)

for tool in acpiexec cc perl; do
  command -v "$tool" >/dev/null || { echo "skipped: $tool not found: install acpica-tools, gcc, perl"; exit 77; }
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

"$emitter" "rom:$size" "$work" >address || { echo "FAILED: emitter"; exit 1; }
cc -shared -fPIC -O1 -o map_memory.so "$here/map_memory.c" || exit 1

# Offset and length of each call.
perl -e '
  my $size = shift;
  my $call = sub { printf "0x%x 0x%x\n", @_ };
  for (my $at = 0; $at < $size; $at += 4096) { $call->($at, 4096) }
  $call->($_, 4096) for 1, 3, 2047, 4095, 4097, 8191, $size - 4096, $size - 4095, $size - 1, $size, $size + 1, $size + 4096,
    2 ** 40;
  for my $at (0, 1, 2, 3, 4, 4094, 4095, 4096, $size - 5, $size - 1) { $call->($at, $_) for 1, 2, 3, 8, 17, 511 }
  for my $at (0, 1, 4095, $size - 1, $size, 2 ** 32) { $call->($at, $_) for 0, 4097, 8192, 65536, 2 ** 32 }
' "$size" >calls
sed 's/^/evaluate \\_SB.PCI0.S08.S00._ROM /' calls >commands
echo quit >>commands

LD_PRELOAD=$work/map_memory.so GPUVM_MAP_FILE=$work/data.dat GPUVM_MAP_ADDRESS=$(cat address) \
  acpiexec -do DSDT.dat <commands >output 2>&1 || { tail -n 20 output; echo "FAILED: acpiexec"; exit 1; }
grep -E 'ACPI (BIOS )?(Error|Warning)|AE_[A-Z]|xception|Could not' output && { echo "FAILED: acpiexec complains"; exit 1; }

perl - rom.dat calls output <<'END'
  my ($rom, $calls, $output) = map { open(my $file, "<:raw", $_) or die "$_: $!\n"; local $/; <$file> } @ARGV;
  my @answers;
  for (split /\n/, $output) {
    if (/\[Buffer\] Length ([0-9A-F]+) =(.*)/) {
      push @answers, [hex $1, ""];
      $_ = $2;  # a short one is on the same line
    }
    # A row of up to 16 bytes, then the same as text behind two blanks and a comment sign.
    if (@answers && m{^\s*[0-9A-F]+:((?: [0-9A-F]{2}){1,16})}) {
      my $bytes = $1;
      $answers[-1][1] .= pack "H*", $bytes =~ s/ //gr;
    }
  }
  my @calls = map { [map { hex } split] } split /\n/, $calls;
  @answers == @calls or die sprintf "FAILED: %d answers to %d calls\n", scalar @answers, scalar @calls;
  my $whole = "";
  for my $i (0 .. $#calls) {
    my ($at, $length) = @{$calls[$i]};
    my $wanted = $length > 4096 ? 4096 : $length;
    my $bytes = $at < length $rom ? substr $rom, $at, $wanted : "";
    $bytes .= "\0" x ($wanted - length $bytes);
    $answers[$i][0] == $wanted && $answers[$i][1] eq $bytes
      or die sprintf "FAILED: _ROM (%#x, %#x) gave %d bytes, %d shown\n", $at, $length, $answers[$i][0], length $answers[$i][1];
    $whole .= $bytes if $i * 4096 < length $rom;
  }
  substr($whole, 0, length $rom) eq $rom or die "FAILED: the calls together are not the image\n";
  printf "%d calls of _ROM over %d bytes\n", scalar @calls, length $rom;
END
