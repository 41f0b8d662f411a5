# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The static checks: what needs no built program. Sourced by scripts/test.

check_format() {
  git ls-files '*.cpp' '*.hpp' | xargs clang-format --dry-run -Werror
}

# What fixtures and corpora have is input of others, as they wrote it.
check_shell() {
  git ls-files -z scripts tests .ci examples packaging ':!tests/fixtures' ':!tests/fuzz/corpus' | xargs -0 grep -lzE '^#!/bin/(ba)?sh' | tr -d '\0' | sort -u | xargs shellcheck -x
}

# The rooms are as docs/architecture.md says; <linux/kvm.h>, <linux/vfio.h>, Asio and Beast have their places.
check_rooms() {
  scripts/rooms \
    && included_nowhere_but 'linux/kvm\.h' ':!vmm/kvm' ':!tests/kvm' ':!tests/unit/vmm/sandbox' \
    && included_nowhere_but 'linux/vfio\.h' ':!devices/physical/vfio' ':!tests/unit/devices/physical/vfio' ':!tests/unit/vmm/sandbox' \
    && included_nowhere_but 'boost/asio\.hpp' ':!vmm/base/asio.hpp' \
    && included_nowhere_but 'boost/beast/.*' ':!vmm/api/request_reader.cpp' ':!vmm/api_client/response_reader.cpp'
}

# included_nowhere_but HEADER ROOM…: git says 1 where it found nothing, and something else where it could not look.
included_nowhere_but() {
  local header=$1 status=0
  shift
  git grep -nE "#include <$header>" -- '*.cpp' '*.hpp' "$@" || status=$?
  ((status == 1))
}

# Keys of inspect trees and of JSON are snake_case: the text that field, child and hex are called with, or its pattern. (AML has
# fields with names of its own, and so has libvirt's XML.)
check_keys() {
  git ls-files -z 'vmm/*.?pp' 'devices/*.?pp' 'firmware/*.?pp' ':!firmware/acpi' ':!vmm/convert' | wrong_keys
}

# wrong_keys: reads names of files that end in NUL, prints each key that is no snake_case and where it is, and then fails. What a
# pattern puts in may be a name of a thing, also two with a dot or a colon between, as in a device's address.
wrong_keys() {
  perl -n0e '
    chomp; $file = $_; open my $in, "<", $file or die "$file: $!"; local $/; $text = <$in>;
    while ($text =~ /(?:\.|->|\b)(?:field|child|hex|show)\(\s*(fmt::format\(\s*)?"((?:[^"\\]|\\.)*)"/g) {
      my ($pattern, $key, $line) = ($1, $2, 1 + substr($text, 0, $-[2]) =~ tr/\n//);
      my $plain = $pattern ? $key =~ s/\{[^}]*\}(?:[.:](?=[0-9{]))?|^[0-9]+:(?=\{)/0/gr : $key;
      next if $plain =~ /^[a-z0-9]+(_[a-z0-9]+)*$/;
      print "$file:$line: the key \"$key\" is not in snake_case\n"; $wrong = 1 }
    END { exit($wrong // 0) }'
}

check_spdx() {
  local files file status=0
  files=$(git ls-files '*.cpp' '*.hpp' '*.sh' '*.cmake' 'CMakeLists.txt' 'scripts/*' ':!tests/fixtures' ':!tests/fuzz/corpus') || return 1
  while read -r file; do
    grep -q 'SPDX-License-Identifier: Apache-2.0' "$file" || { echo "$file has no licence line" && status=1; }
  done <<<"$files"
  return "$status"
}

run_static_checks() {
  begin_cost 'static checks'
  stage "format, shell and house rules"
  check format check_format
  check shellcheck check_shell
  check rooms check_rooms
  check rooms_test tests/scripts/rooms_test.sh
  check keys check_keys
  check sandbox_calls_test tests/scripts/sandbox_calls_test.sh
  check keys_test tests/scripts/keys_test.sh
  check spdx check_spdx
  check plan check_table tests/lab/plan.tsv
  check plan_test tests/scripts/plan_test.sh
  check lab_run_test tests/scripts/lab_run_test.sh
  check is_running_test tests/scripts/is_running_test.sh
  check bench_test tests/scripts/bench_test.sh
  check bench_inside_test tests/scripts/bench_inside_test.sh
  check make_image_test tests/scripts/make_image_test.sh
  check github_action_test tests/scripts/github_action_test.sh
  check garm_provider_test tests/scripts/garm_provider_test.sh
  check systemd_units_test tests/scripts/systemd_units_test.sh
}
