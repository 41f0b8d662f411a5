#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# scripts/rooms on a small tree that is made up: sound, it passes; then with one thing wrong at a time, each is named.
. "$(dirname "$0")/checks.sh"
cd "$WORK"

# include FILE HEADER…: a file of a room with these includes.
include() {
  local file=tree/$1 header
  shift
  mkdir -p "$(dirname "$file")"
  : >"$file"
  for header; do printf '#include "%s"\n' "$header" >>"$file"; done
}

# cmake ROOM TEXT
cmake() { mkdir -p "tree/$1" && printf '# a comment (with gpuvm_room(none))\n%s\n' "$2" >"tree/$1/CMakeLists.txt"; }

# table ROW…: "ROOM MAY-USE"
table() {
  local row
  mkdir -p tree/docs
  {
    printf '# A\n\n## Rooms\n\nText.\n\n| room | what it is | may use |\n|---|---|---|\n'
    for row; do printf '| %s | words, `code` | %s |\n' "${row%% *}" "${row#* }"; done
    printf '\n## Others\n\n| vmm/other | is no room | nothing |\n'
  } >tree/docs/architecture.md
}

# base <- bus (headers only) <- pci, whose .cpp uses acpi; physical/vfio below physical; the program.
sound_tree() {
  rm -rf tree
  include vmm/base/base.hpp
  cmake vmm/base 'gpuvm_room(base SOURCES base.cpp LINKS fmt::fmt)'
  include vmm/bus/bus.hpp vmm/base/base.hpp
  cmake vmm/bus $'add_library(gpuvm_bus INTERFACE)\ntarget_link_libraries(gpuvm_bus INTERFACE gpuvm_base)'
  include firmware/acpi/acpi.cpp vmm/base/base.hpp firmware/acpi/acpi.hpp
  cmake firmware/acpi 'gpuvm_room(acpi SOURCES acpi.cpp PRIVATE gpuvm_base Threads::Threads)'
  include devices/pci/pci.hpp vmm/bus/bus.hpp vmm/base/base.hpp
  include devices/pci/quirks/odd.cpp devices/pci/pci.hpp firmware/acpi/acpi.hpp
  cmake devices/pci $'gpuvm_room(pci\n  SOURCES quirks/odd.cpp\n  LINKS gpuvm_bus\n  PRIVATE gpuvm_acpi)'
  include devices/pci/vfio/vfio.cpp devices/pci/pci.hpp
  cmake devices/pci/vfio 'gpuvm_room(vfio SOURCES vfio.cpp PRIVATE gpuvm_pci)'
  include vmm/cli/verb.hpp devices/pci/pci.hpp
  cmake vmm/cli $'add_executable(gpuvm main.cpp)\ntarget_link_libraries(gpuvm PRIVATE gpuvm_pci gpuvm_warnings CLI11::CLI11)'
  table 'vmm/base nothing (fmt)' 'vmm/bus base' 'firmware/acpi base' 'devices/pci bus, acpi' 'devices/pci/vfio pci' 'vmm/cli pci (CLI11)'
}

# finds TEXT [COUNT]: scripts/rooms fails, says TEXT in a line, and nothing else.
finds() {
  local status=0
  "$REPO/scripts/rooms" tree >out 2>err || status=$?
  cat err
  ((status == 1)) && grep -qF -- "$1" err && (($(wc -l <err) == ${2:-1}))
}

passes() { "$REPO/scripts/rooms" tree >out 2>err || { cat err && return 1; }; }

expect "this repository's own rooms" "$REPO/scripts/rooms"

sound_tree
expect 'a sound tree' passes
expect 'nothing is said of it' same "$(cat err)" ''
expect 'sizes and arrows' grep -qE '^devices/pci +2 +4  -> base bus \(acpi\)$' out
expect 'a room in a room is one of its own' grep -qE '^devices/pci/vfio +1 +1  -> \(pci\)$' out
expect 'rooms stand in the order of the table' same "$(cut -d' ' -f1 out | tr '\n' ' ')" \
  'room vmm/base vmm/bus firmware/acpi devices/pci devices/pci/vfio vmm/cli '

include vmm/bus/bus.cpp devices/pci/pci.hpp
expect 'a cycle' finds 'cycle: vmm/bus -> devices/pci -> vmm/bus: ' 3
expect 'and that its arrow runs up' grep -qF 'vmm/bus/bus.cpp: includes from devices/pci, which stands below vmm/bus' err
expect 'and that its link is missing' grep -qF 'add gpuvm_pci to PRIVATE in vmm/bus/CMakeLists.txt' err

# One arrow that runs up from the bottom closes a cycle by every way down: the arrow is told first, and the cycle once.
sound_tree
include vmm/base/up.cpp devices/pci/vfio/vfio.hpp
expect 'many cycles by one arrow' finds '(and 2 more ways round)' 3
expect 'its cause comes first' grep -qF 'vmm/base/up.cpp: includes from devices/pci/vfio, which stands below' <(head -n 1 err)

expect 'a folder that is none' same "$("$REPO/scripts/rooms" "$WORK/nowhere" 2>&1)" \
  "rooms: $WORK/nowhere is no copy of this repository: docs/architecture.md and vmm are not there"

sound_tree
include vmm/base/base.hpp firmware/acpi/acpi.hpp
cmake firmware/acpi 'gpuvm_room(acpi SOURCES acpi.cpp)'
cmake vmm/base 'gpuvm_room(base LINKS gpuvm_acpi)'
include firmware/acpi/acpi.cpp
table 'vmm/base acpi' 'vmm/bus base' 'firmware/acpi nothing' 'devices/pci bus, acpi' 'devices/pci/vfio pci' 'vmm/cli pci'
expect 'an arrow up without a cycle' finds 'vmm/base/base.hpp: includes from firmware/acpi, which stands below vmm/base'

sound_tree
cmake vmm/base 'gpuvm_room(base LINKS gpuvm_bus)'
expect 'a link alone closes a cycle' finds 'cycle: vmm/base -> vmm/bus -> vmm/base: ' 3
expect 'and no include needs it' grep -qF 'vmm/base/CMakeLists.txt: no file includes from vmm/bus: remove the link to gpuvm_bus' err

sound_tree
include devices/pci/more.hpp firmware/acpi/acpi.hpp
expect 'a header that includes what only PRIVATE has' finds \
  'devices/pci/more.hpp: a header includes from firmware/acpi, to which LINKS do not lead: move gpuvm_acpi from PRIVATE to LINKS'

sound_tree
include firmware/acpi/more.hpp vmm/bus/bus.hpp
expect 'a header without a link' finds 'firmware/acpi/more.hpp: a header includes from vmm/bus, to which LINKS do not lead: add gpuvm_bus to LINKS'

sound_tree
include firmware/acpi/more.cpp vmm/bus/bus.hpp
expect 'a source without a link' finds 'firmware/acpi/more.cpp: includes from vmm/bus, to which neither LINKS nor PRIVATE lead: add gpuvm_bus to PRIVATE'

sound_tree
include devices/pci/vfio/more.cpp firmware/acpi/acpi.hpp
expect 'what another room has for itself does not serve' finds 'devices/pci/vfio/more.cpp: includes from firmware/acpi'

sound_tree
include devices/pci/quirks/odd.cpp devices/pci/pci.hpp
expect 'a link that no include needs' finds 'devices/pci/CMakeLists.txt: no file includes from firmware/acpi: remove the link to gpuvm_acpi'

sound_tree
include devices/pci/pci.hpp
include devices/pci/quirks/odd.cpp vmm/bus/bus.hpp firmware/acpi/acpi.hpp
expect 'a link that no header needs' finds 'only .cpp files include from vmm/bus: move gpuvm_bus from LINKS to PRIVATE'

sound_tree
cmake devices/pci/vfio 'gpuvm_room(vfio SOURCES vfio.cpp PRIVATE gpuvm_pci gpuvm_gone)'
expect 'a link to a room that is not there' finds 'devices/pci/vfio/CMakeLists.txt: there is no room gpuvm_gone'

sound_tree
include vmm/bus/bus.hpp vmm/base/base.hpp vmm/lost/lost.hpp tests/fake.hpp
expect 'includes from no room and from the tests' finds 'vmm/bus/bus.hpp: includes vmm/lost/lost.hpp, which is in no room' 2
expect 'the tests, too' grep -qF 'vmm/bus/bus.hpp: includes tests/fake.hpp' err

sound_tree
include vmm/lost/lost.cpp
expect 'a file in no room' finds 'vmm/lost/lost.cpp: belongs to no room'

sound_tree
sed -i '/^| vmm\/bus/d' tree/docs/architecture.md
expect 'a room without a row' finds 'docs/architecture.md: vmm/bus has no row'

sound_tree
sed -i 's/^| vmm\/bus .*/&\n| vmm\/gone | was a room | nothing |/' tree/docs/architecture.md
expect 'a row without a room' finds 'docs/architecture.md: there is no room vmm/gone: remove its row'

for wrong in 'bus' 'bus, acpi, base' 'bus, acpi, gone' 'nothing'; do
  sound_tree
  table 'vmm/base nothing (fmt)' 'vmm/bus base' 'firmware/acpi base' "devices/pci $wrong" 'devices/pci/vfio pci' 'vmm/cli pci'
  expect "a row that says '$wrong'" finds 'the row of devices/pci does not agree with its links: "may use" is to be "bus, acpi"'
done

sound_tree
cmake vmm/machine/run 'gpuvm_room(machine_run SOURCES a.cpp)'
printf '| vmm/machine/run | big | nothing |\n' >row
sed -i '/^| vmm\/cli/r row' tree/docs/architecture.md
for ((i = 1; i <= 25; i++)); do include "vmm/machine/run/file$i.hpp"; done
expect '25 files in a room of the machine' passes
include vmm/machine/run/file26.cpp
expect '26 files' finds 'vmm/machine/run: has 26 files, more than 25'

sound_tree
printf 'namespace gpuvm {\nclass Card;\nstruct Card {\n};\n}\nnamespace gpuvm::pci {\nclass Slot final {\n};\n}\n' >>tree/vmm/bus/bus.hpp
printf 'namespace gpuvm {\nclass Slot {\n};\nclass Card::Impl {\n};\nstruct Card;\n}\n' >>tree/devices/pci/pci.hpp
expect 'a class of one name in two namespaces' passes
printf 'namespace gpuvm {\nclass GPUVM_CAPABILITY("mutex") Card : public Base {\n};\n}\n' >>tree/vmm/base/base.hpp
expect 'a class that two headers define' finds 'vmm/bus/bus.hpp: defines gpuvm::Card, as vmm/base/base.hpp does: rename one'

finish
